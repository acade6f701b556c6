/*
 * What jemalloc, the allocator of the program, goes by (`man jemalloc`, TUNING); `_RJEM_MALLOC_CONF` in the environment
 * still goes before it.
 *
 * Each thread has caches of free memory, and there may be thousands of sender threads that wait for slow receivers. With
 * the caches as they are by default, 100 KiB of each lie idle in them. These are short (8 pieces of each size, up to 256
 * bytes). `deliver` was as fast without any cache as with the long ones, and a tenth faster with ones of up to 20 pieces:
 * what a delivery allocates in one thread is mostly freed in another anyway.
 */
const char *_rjem_malloc_conf =
    "tcache_max:256,tcache_nslots_small_max:8,tcache_nslots_small_min:2,tcache_nslots_large:2";
