/* What a C program keeps, for allocators that cannot be put before it: one line on standard input is one request.
 * stores SHAPE SIZE BOUND; -DCOLLECTED takes memory from Boehm's collector and frees none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef COLLECTED
#include <gc.h>
#define malloc GC_MALLOC
#define realloc GC_REALLOC
#define free(block) ((void)(block))
#endif

static size_t size, bound, served, count, room;
static char **held, *record;

static char *bytes(void) {
    char *block = malloc(size);
    if (!block) exit(1);
    return memset(block, 1, size);
}

static void reach(size_t needed) {
    if (needed <= room) return;
    room = room ? 2 * room : 64;
    if (room < needed) room = needed;
    held = realloc(held, room * sizeof *held);
    if (!held) exit(1);
}

/* A vector of pointers that grows by doubling, with every request in it. */
static void list(void) { reach(count + 1), held[count++] = bytes(); }

/* The last BOUND requests. */
static void ring(void) {
    if (count < bound) list();
    else free(held[served % bound]), held[served % bound] = bytes();
}

/* One block that is made longer with every request. */
static void record_grows(void) {
    record = realloc(record, (served + 1) * size);
    if (!record) exit(1);
    memset(record + served * size, 1, size);
}

/* What is made for a request and given up with it. */
static void garbage(void) {
    for (size_t i = 0; i < bound; i++) {
        char *block = bytes();
        free(block);
    }
}

int main(int words, char **word) {
    if (words != 4) return 2;
    size = strtoul(word[2], NULL, 10), bound = strtoul(word[3], NULL, 10);
    void (*serve)(void) = !strcmp(word[1], "list") ? list : !strcmp(word[1], "ring") ? ring
        : !strcmp(word[1], "record") ? record_grows : garbage;
    char line[4096];
    while (fgets(line, sizeof line, stdin)) serve(), served++;
    return 0;
}
