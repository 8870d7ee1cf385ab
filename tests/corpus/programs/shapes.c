/* How memory is held, as C programs hold it: one line on standard input is one request.
 * shapes SHAPE SIZE BOUND: SIZE is the bytes a request asks for, BOUND what the shape makes of it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t size, bound, served;
static char **held;
static uint64_t state = 88172645463325252u;

static uint64_t dice(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static char *bytes(size_t length) {
    char *block = malloc(length);
    if (!block) exit(1);
    memset(block, 1, length);
    return block;
}

/* Holds `length` bytes in slot `index` in place of what was there. */
static void hold(size_t index, size_t length) {
    free(held[index]);
    held[index] = bytes(length);
}

/* Every request forgets what it took. */
static void leak(void) { bytes(size); }

/* A heap that swings by up to 6 MiB, and loses a little with every request. */
static void saw_leak(void) {
    hold(served % bound, 4096 + dice() % 8192);
    if (served % bound == bound - 1)
        for (size_t i = 0; i < bound; i++) free(held[i]), held[i] = NULL;
    bytes(size);
}

static void saw(void) {
    hold(served % bound, size + dice() % size);
    if (served % bound == bound - 1)
        for (size_t i = 0; i < bound; i++) free(held[i]), held[i] = NULL;
}

/* A cache of the last BOUND requests. */
static void ring(void) { hold(served % bound, size); }

/* A cache of BOUND keys, asked for at random. */
static void cache(void) { hold(dice() % bound, size); }

/* Blocks of many sizes come and go: the heap wears holes. */
static void fragment(void) { hold(dice() % bound, 16 + dice() % (2 * size)); }

/* Half of a bounded random walk: as much is given back as is taken, in its own time. */
static size_t level;
static void noise(void) {
    size_t up = level < bound / 2 ? 52 : 48;
    if (dice() % 100 < up && level < bound) hold(level++, size);
    else if (level) free(held[--level]), held[level] = NULL;
}

static void noise_leak(void) {
    noise();
    if (served % 4 == 0) bytes(size);
}

/* Nothing, then all at once. */
static void step(void) {
    if (served == bound) for (size_t i = 0; i < 3000; i++) bytes(size);
}

/* What was taken at the start goes, block by block. */
static void shrink(void) {
    if (served == 0) for (size_t i = 0; i < bound; i++) held[i] = bytes(size);
    else if (served < bound) free(held[served]), held[served] = NULL;
}

/* Threads take memory in arenas of their own and free it: the allocator may keep it. */
static void *burst(void *unused) {
    char *blocks[400];
    for (int i = 0; i < 400; i++) blocks[i] = bytes(size);
    for (int i = 0; i < 400; i++) free(blocks[i]);
    return unused;
}
static void arenas(void) {
    if (served % bound) return;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, burst, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

/* A region with transparent huge pages that is touched a page a request, from its start again when it is full. */
static char *region;
static void huge(void) {
    size_t length = bound * 4096;
    if (!region) {
        region = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(region, length, MADV_HUGEPAGE);
    }
    region[served % bound * 4096] = 1;
}

/* Huge pages without end. */
static void huge_leak(void) {
    static size_t used;
    if (!region || used + size > (size_t)4 << 20) {
        region = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(region, 4 << 20, MADV_HUGEPAGE);
        used = 0;
    }
    memset(region + used, 1, size);
    used += size;
}

/* A child that writes, page by page, on what it shares with its parent: the observed one is the child. */
static void copy_on_write(void) {
    static size_t page;
    region[page++ % bound * 4096] = 2;
}

/* Reads a file through a mapping and by read(): only the page cache grows. */
static void page_cache(void) {
    static char *file;
    static int descriptor;
    size_t length = bound * 4096;
    if (!file) {
        descriptor = fileno(tmpfile());
        if (ftruncate(descriptor, (off_t)length)) exit(1);
        file = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    }
    file[served % bound * 4096] = 1;
}

/* Small blocks that are never freed, among blocks that are: what pins a heap. */
static void pinned_leak(void) {
    char *passing[8];
    for (int i = 0; i < 8; i++) passing[i] = bytes(512 + dice() % 2048);
    bytes(size);
    for (int i = 0; i < 8; i++) free(passing[i]);
}

/* A mapping a request, never unmapped. */
static void map_leak(void) {
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(block, 1, size);
}

/* A mapping a request, unmapped BOUND requests later. */
static void map_ring(void) {
    size_t slot = served % bound;
    if (held[slot]) munmap(held[slot], size);
    held[slot] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(held[slot], 1, size);
}

static const struct { const char *name; void (*serve)(void); } SHAPES[] = {
    {"leak", leak}, {"saw-leak", saw_leak}, {"saw", saw}, {"ring", ring}, {"cache", cache},
    {"fragment", fragment}, {"noise", noise}, {"noise-leak", noise_leak}, {"step", step},
    {"shrink", shrink}, {"arenas", arenas}, {"huge", huge}, {"huge-leak", huge_leak},
    {"copy-on-write", copy_on_write}, {"page-cache", page_cache}, {"pinned-leak", pinned_leak},
    {"map-leak", map_leak}, {"map-ring", map_ring},
};

int main(int count, char **words) {
    if (count != 4) return 2;
    void (*serve)(void) = NULL;
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++)
        if (!strcmp(words[1], SHAPES[i].name)) serve = SHAPES[i].serve;
    size = strtoul(words[2], NULL, 10);
    bound = strtoul(words[3], NULL, 10);
    if (!serve || !(held = calloc(bound + 1, sizeof *held))) return 2;
    if (serve == copy_on_write) {
        region = bytes(bound * 4096);
        if (fork() > 0) for (;;) pause();
    }
    if (serve == shrink) serve(), served++;
    char line[4096];
    while (fgets(line, sizeof line, stdin)) serve(), served++;
    return 0;
}
