/*
 * Options for jemalloc (`man jemalloc`, TUNING); `_RJEM_MALLOC_CONF` in the environment overrides them.
 *
 * Each thread caches free memory, and thousands of sender threads may wait for slow receivers. With the default sizes,
 * 100 KiB per thread lie idle. These caches are short (8 pieces of each size, up to 256 bytes). `deliver` was as fast
 * without any cache as with the long ones, and a tenth faster with up to 20 pieces: a delivery's allocations are mostly
 * freed in another thread anyway.
 */
const char *_rjem_malloc_conf =
    "tcache_max:256,tcache_nslots_small_max:8,tcache_nslots_small_min:2,tcache_nslots_large:2";
