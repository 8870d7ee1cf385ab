/* A heap that knows its own truth: what the allocator took by brk is the distance of the break, what it took by mmap it
   counts itself. Speaks as a workload does: a line in, a line of JSON out. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL 4000
#define BIG 32

static char *small[SMALL];
static char *big[BIG];
static long mapped, unmapped, heap, blocks;

/* Adds what has changed since the last look; between two looks each of the two only grows, or only shrinks. */
static void look(void) {
    long now_heap = (long)sbrk(0);
    long now_blocks = (long)mallinfo2().hblkhd;
    if (heap) {
        mapped += now_heap > heap ? now_heap - heap : 0;
        unmapped += now_heap < heap ? heap - now_heap : 0;
        mapped += now_blocks > blocks ? now_blocks - blocks : 0;
        unmapped += now_blocks < blocks ? blocks - now_blocks : 0;
    }
    heap = now_heap;
    blocks = now_blocks;
}

int main(void) {
    char line[64];
    /* Blocks of one size go by one way, whatever was freed before. */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    printf("{\"ready\":true}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        look();
        if (!strcmp(line, "small\n")) {
            for (int i = 0; i < SMALL; i++) {
                small[i] = malloc(10000);
                memset(small[i], 1, 10000);
            }
        } else if (!strcmp(line, "big\n")) {
            for (int i = 0; i < BIG; i++) {
                big[i] = malloc(1024 * 1024);
                memset(big[i], 1, 1024 * 1024);
            }
        } else if (!strcmp(line, "free\n")) {
            for (int i = 0; i < SMALL; i++)
                free(small[i]);
            for (int i = 0; i < BIG; i++)
                free(big[i]);
        } else {
            break;
        }
        look();
        printf("{\"mapped\":%ld,\"unmapped\":%ld,\"pid\":%d}\n", mapped, unmapped, (int)getpid());
        fflush(stdout);
    }
    return 0;
}
