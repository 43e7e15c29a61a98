#define _GNU_SOURCE
/* The state file: lines `key value` for the driver, `<gpu>.key value` for a GPU, `<gpu>.mig<n>.key value` for a MIG instance of it.
 * It is parsed once into a hash table and read again when another file has taken its place; what a GPU's profile says is put in beside. */
#include "fake.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
    int owner, given;         /* given: by the file, not by the profile */
    const char *key, *text;   /* text "=other": the same as another key */
    u64 number;
    double real, integral, since_s;
} entry_t;

typedef struct {
    char *content;
    entry_t *entries;
    size_t size; /* a power of two */
} table_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static table_t table;

double monotonic_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

u64 epoch_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

int owner_of(const gpu_t *gpu) { return gpu->index + MAX_GPUS * (gpu->mig + 1); }

/* The place of a key, taken or free. */
static entry_t *place_of(const table_t *in, int owner, const char *key) {
    u64 hash = 14695981039346656037ULL ^ (u64)(unsigned)owner;
    for (const char *c = key; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211ULL;
    hash ^= hash >> 29;
    for (size_t i = hash & (in->size - 1);; i = (i + 1) & (in->size - 1)) {
        entry_t *entry = &in->entries[i];
        if (!entry->key || (entry->owner == owner && strcmp(entry->key, key) == 0)) return entry;
    }
}

static const entry_t *find(int owner, const char *key) {
    if (!table.size) return NULL;
    for (int hops = 0; hops < 4; hops++) {
        const entry_t *entry = place_of(&table, owner, key);
        if (!entry->key) return NULL;
        if (*entry->text != '=') return entry;
        key = entry->text + 1;
    }
    return NULL;
}

static void put(table_t *into, int owner, int given, const char *key, const char *text) {
    entry_t *entry = place_of(into, owner, key);
    if (entry->key && !given) return;
    *entry = (entry_t){owner, given, key, text, strtoull(text, NULL, 10), strtod(text, NULL), 0, floor(monotonic_s() * 10) / 10};
    if (strncmp(key, "gpm.", 4) != 0 || !table.size) return;
    const entry_t *old = place_of(&table, owner, key);
    if (old->key) entry->integral = old->integral + old->real * (entry->since_s - old->since_s);
}

/* Split "3.mig0.uuid" into its owner and "uuid"; "count" belongs to the driver. */
static int split(char **key) {
    char *rest;
    long gpu = strtol(*key, &rest, 10), mig = NOBODY;
    if (rest == *key || *rest != '.' || gpu < 0 || gpu >= MAX_GPUS) return DRIVER;
    *key = rest + 1;
    if (strncmp(*key, "mig", 3) == 0 && (mig = strtol(*key + 3, &rest, 10), rest > *key + 3 && *rest == '.')) *key = rest + 1;
    else mig = NOBODY;
    return (int)gpu + MAX_GPUS * ((int)mig + 1);
}

static void put_gpu_defaults(table_t *into, int gpu, const char *profile) {
    for (int i = 0; i < default_count(); i++) {
        const char *text = default_text(i, profile);
        if (text) put(into, gpu, 0, default_key(i), text);
    }
    for (int k = 0; k < MAX_MIGS; k++) {
        int owner = owner_of(&migs[gpu][k]);
        if (!place_of(into, owner, "gi")->key) continue;
        for (int i = 0; i < mig_default_count(); i++) put(into, owner, 0, mig_default_key(i), mig_default_text(i));
    }
}

static void put_defaults(table_t *into) {
    const entry_t *count = place_of(into, DRIVER, "count"), *common = place_of(into, DRIVER, "profile");
    for (int gpu = 0; count->key && gpu < (int)count->number && gpu < MAX_GPUS; gpu++) {
        const entry_t *own = place_of(into, gpu, "profile");
        put_gpu_defaults(into, gpu, own->key ? own->text : common->key ? common->text : "h100");
    }
}

static void parse(table_t *into) {
    char *rest;
    for (char *line = strtok_r(into->content, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *text = strchr(line, ' ');
        if (!text) continue;
        *text++ = 0;
        int owner = split(&line);
        put(into, owner, 1, line, text);
    }
    put_defaults(into);
}

static char *whole_file(const char *path, size_t *lines) {
    FILE *file = fopen(path, "r");
    size_t room = 1 << 16, size = 0, got;
    char *content = malloc(room);
    while (file && content && (got = fread(content + size, 1, room - size - 1, file)) > 0)
        if ((size += got) == room - 1) content = realloc(content, room *= 2);
    if (file) fclose(file);
    if (!content) abort();
    content[size] = 0;
    *lines = 1;
    for (char *c = content; *c; c++) *lines += *c == '\n';
    return content;
}

/* How many entries there can be: the lines of the file, and the defaults of each GPU. */
static size_t most_entries(const char *content, size_t lines) {
    size_t gpu_count = 0;
    for (const char *line = content; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, "count ", 6) == 0) gpu_count = (size_t)atoi(line + 6);
    if (gpu_count > MAX_GPUS) gpu_count = MAX_GPUS;
    return lines + gpu_count * (size_t)(default_count() + MAX_MIGS * mig_default_count());
}

static void load(const char *path) {
    size_t lines;
    table_t fresh = {.content = whole_file(path, &lines), .size = 1024};
    size_t most = most_entries(fresh.content, lines);
    while (fresh.size < 2 * most) fresh.size *= 2;
    if (!(fresh.entries = calloc(fresh.size, sizeof *fresh.entries))) abort();
    parse(&fresh);
    free(table.content);
    free(table.entries);
    table = fresh;
}

void state_refresh(void) {
    static struct stat known;
    const char *path = getenv("FAKE_NVML_STATE");
    struct stat now;
    if (!path || stat(path, &now) != 0) return;
    pthread_mutex_lock(&lock);
    if (now.st_ino != known.st_ino || now.st_mtim.tv_nsec != known.st_mtim.tv_nsec || now.st_mtime != known.st_mtime) {
        known = now;
        load(path);
    }
    pthread_mutex_unlock(&lock);
}

int state_find(int owner, const char *key, value_t *value, char *text) {
    pthread_mutex_lock(&lock);
    const entry_t *entry = find(owner, key);
    if (entry && value) *value = (value_t){entry->given, entry->given ? NULL : entry->key, entry->number, entry->real};
    if (entry && text) snprintf(text, LINE, "%s", entry->text);
    pthread_mutex_unlock(&lock);
    return entry != NULL;
}

int state_integral(int owner, const char *key, double at_s, double *integral) {
    pthread_mutex_lock(&lock);
    const entry_t *entry = find(owner, key);
    if (entry) *integral = entry->integral + entry->real * (at_s - entry->since_s);
    pthread_mutex_unlock(&lock);
    return entry != NULL;
}

u64 driver_number(const char *key, u64 otherwise) {
    value_t value;
    return state_find(DRIVER, key, &value, NULL) ? value.number : otherwise;
}

int listed(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *item = list; item; item = strchr(item, ','), item += item != NULL)
        if (strncmp(item, word, length) == 0 && strchr(",:", item[length])) return 1;
    return 0;
}
