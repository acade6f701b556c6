/*
 * What jemalloc, the allocator of the program, goes by (`man jemalloc`, TUNING); `_RJEM_MALLOC_CONF` in the environment
 * still goes before it.
 *
 * Each thread has caches of free memory, and there may be thousands of sender threads that wait for slow receivers. With
 * the caches as they are by default, 100 KiB of each lie idle in them. These are short (8 pieces of each size, up to 256
 * bytes). `deliver` was as fast without any cache as with the long ones, and a tenth faster with ones of up to 20 pieces:
 * what a delivery allocates in one thread is mostly freed in another anyway.
 *
 * Memory that nobody uses goes back to the kernel within a second instead of ten, and of arenas, between which it lies
 * scattered, there are two: 7,500 events a second, each delivered, took 69 MiB instead of 86, and were accepted as fast.
 */
const char *_rjem_malloc_conf =
    "tcache_max:256,tcache_nslots_small_max:8,tcache_nslots_small_min:2,tcache_nslots_large:2,"
    "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
