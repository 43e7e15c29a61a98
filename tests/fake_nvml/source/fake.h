/* What the parts of the fake driver library share. The library answers from a text file that a test writes (FAKE_NVML_STATE): see state.c
 * for how it is read, defaults.c for what a GPU says by itself, faults.c for how it misbehaves. Layouts are those of nvidia-ml-py. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H
#include <stddef.h>

typedef unsigned long long u64;

/* nvmlReturn_t */
enum {
    OK = 0, UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, SMALL = 7, TIMEOUT = 10,
    GPU_LOST = 15, RESET_REQUIRED = 16, OUT_OF_MEMORY = 20, VERSION_MISMATCH = 25,
};
/* nvmlValueType_t */
enum { DOUBLE, UNSIGNED_INT, UNSIGNED_LONG, UNSIGNED_LONG_LONG, SIGNED_LONG_LONG, SIGNED_INT, UNSIGNED_SHORT };

enum { MAX_GPUS = 64, MAX_MIGS = 8, LINE = 4096, NOBODY = -1 };
static const unsigned ALL = ~0u; /* all links of a field's scope; also "no instance" in lists of processes */

/* A handle: a whole GPU (mig is NOBODY), or one of its MIG instances. */
typedef struct { int index, mig; } gpu_t;
extern gpu_t gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIGS];

/* state.c: the values of the file; `owner` is DRIVER or owner_of(gpu). */
enum { DRIVER = -1 };
typedef struct {
    int given;       /* by the file itself, not by the profile */
    const char *key; /* of a value that is not given: what it is called in defaults.c */
    u64 number;
    double real;
} value_t;
int owner_of(const gpu_t *gpu);
void state_refresh(void); /* one stat; read the file when another has taken its place */
/* Whether there is a value; `value` and `text` (room for LINE bytes) may be NULL. */
int state_find(int owner, const char *key, value_t *value, char *text);
int state_integral(int owner, const char *key, double at_s, double *integral); /* of a value over time, see gpm.c */
u64 driver_number(const char *key, u64 otherwise);
int listed(const char *list, const char *word); /* whether a list "a,b:5,c" has the word */

/* gpus.c: a value of a GPU: what the file says, else the load model, else what the profile says. */
u64 number_of(const gpu_t *gpu, const char *key);
void text_of(const gpu_t *gpu, const char *key, char *text);

/* faults.c: what comes before each answer. */
int driver_ready(void);
int gpu_ready(const gpu_t *gpu, const char *quantity);     /* its faults, and whether it has the quantity at all */
int supported(const gpu_t *gpu, const char *quantity);     /* the latter alone: OK or a code */
int begin_session(void);
int end_session(void);

/* load_model.c */
int modelled(const gpu_t *gpu, const char *key, double *value);
int modelled_work(const gpu_t *gpu, double at_s, double *work); /* seconds of full work done until then */

/* defaults.c: what a GPU of a profile says by itself; NULL text: it does not have that. */
int default_count(void);
const char *default_key(int place);
const char *default_text(int place, const char *profile);
int mig_default_count(void);
const char *mig_default_key(int place);
const char *mig_default_text(int place);

/* mig.c */
int in_mig_mode(const gpu_t *gpu);

double monotonic_s(void);
u64 epoch_us(void);
int answer_number(gpu_t *gpu, const char *key, unsigned *out);
int answer_large(gpu_t *gpu, const char *key, u64 *out);
int answer_text(gpu_t *gpu, const char *key, char *out, unsigned size);
#endif
