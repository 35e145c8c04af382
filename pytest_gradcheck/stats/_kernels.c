/* The inner loops of `pytest_gradcheck.stats`, for those who have a C compiler.
 *
 * Everything here has a twin in numpy (totals.py, fold.py) which says what is computed and why, and
 * which is used where this could not be built. Both give the same bits: sums are sums of whole
 * numbers, and no product is rounded other than there.
 *
 * Requirements:
 *     No fused multiply-add may be made of a product and a sum: it would round once instead of
 *     twice (setup.py switches it off).
 *     Only the stable ABI of Python 3.11 is used: one file for all later versions.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One copy of a loop for each generation of processors; the loader takes the best that runs. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif

#define LANES 4093
#define ROWS 32
#define BYTES 4 /* of ROWS bits */
#define KEY 1
#define STEP_BITS 50
#define SQUARE_BITS 46
#define MAGIC 6755399441055744.0 /* 1.5 * 2**52 */
#define MINUS (UINT64_C(1) << 63) /* the sign of a double */
#define PLAIN 400 /* of exponents: squares within float64 */
#define MOST (1 << 24) /* elements of 50 bits whose lanes fit into 64 */
#define STRETCH 512 /* elements that are looked at one by one if the largest of them is large */
#define SHOWN 256 /* of the largest elements, at most */
#define BLOCK 2048 /* elements of which it is known whether the largest is among them */
#define TRACKS 16 /* running sums of an inner product: element i is in that of i % 16 */
#define SPAN 512 /* elements of each of several arrays that are multiplied at a time */

static uint32_t lane_signs[LANES]; /* bit j is set where row j has a minus */

static uint64_t
word_of(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t
bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double
value_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef struct {
    uint64_t peak; /* bit pattern of the largest absolute value */
    Py_ssize_t block; /* where that of its first occurrence begins */
    Py_ssize_t zeros;
    Py_ssize_t nonfinite;
} Survey;

/* Patterns of absolute values are ordered as the values are, with Inf and NaN above all. */
#define DEFINE_SURVEY(NAME, UINT, INFINITE)                                                        \
    FAST static void NAME(const UINT *values, Py_ssize_t count, Survey *found)                     \
    {                                                                                              \
        UINT peak = 0;                                                                             \
        Py_ssize_t block = 0, zeros = 0, nonfinite = 0;                                            \
        for (Py_ssize_t first = 0; first < count; first += BLOCK) {                                \
            Py_ssize_t last = count - first < BLOCK ? count : first + BLOCK;                       \
            UINT before = peak, none = 0, odd = 0;                                                 \
            for (Py_ssize_t i = first; i < last; i++) {                                            \
                UINT size = values[i] & (((UINT)-1) >> 1);                                         \
                peak = size > peak ? size : peak;                                                  \
                none += size == 0;                                                                 \
                odd += size >= INFINITE;                                                           \
            }                                                                                      \
            block = peak > before ? first : block;                                                 \
            zeros += (Py_ssize_t)none;                                                             \
            nonfinite += (Py_ssize_t)odd;                                                          \
        }                                                                                          \
        found->peak = peak;                                                                        \
        found->block = block;                                                                      \
        found->zeros = zeros;                                                                      \
        found->nonfinite = nonfinite;                                                              \
    }

DEFINE_SURVEY(survey_float, uint32_t, UINT32_C(0x7F800000))
DEFINE_SURVEY(survey_double, uint64_t, UINT64_C(0x7FF0000000000000))

typedef struct {
    double step_magic, square_magic;
    uint64_t step_bias, square_bias;
    /* Sums that may need more than 64 bits, as high * 2**32 + low. */
    int64_t squares_high, squares_low, steps_high, steps_low;
} Sums;

/* Add a run of elements within one word of signs and one row of lanes.
 *
 * The sign is turned before an element is rounded to steps, which rounds either sign alike. Sums
 * modulo 2**64 keep the bias of each element until the run is at its end.
 */
#define DEFINE_RUN(NAME, REAL)                                                                     \
    static inline __attribute__((always_inline)) void NAME(                                        \
        const REAL *values, int count, uint64_t signs, int64_t *lanes, Sums *sums)                 \
    {                                                                                              \
        const double step_magic = sums->step_magic, square_magic = sums->square_magic;             \
        const uint64_t step_bias = sums->step_bias, square_bias = sums->square_bias;               \
        uint64_t squares = 0, steps = 0;                                                           \
        for (int i = 0; i < count; i++) {                                                          \
            double wide = (double)values[i];                                                       \
            double turned = value_of(bits_of(wide) ^ (signs << (63 - i) & MINUS));                 \
            lanes[i] += (int64_t)(bits_of(turned + step_magic) - step_bias);                       \
            steps += bits_of(wide + step_magic);                                                   \
            squares += bits_of(wide * wide + square_magic);                                        \
        }                                                                                          \
        steps -= (uint64_t)count * step_bias;                                                      \
        squares -= (uint64_t)count * square_bias;                                                  \
        sums->squares_low += (int64_t)(squares & UINT64_C(0xFFFFFFFF));                            \
        sums->squares_high += (int64_t)(squares >> 32);                                            \
        sums->steps_low += (int64_t)(steps & UINT64_C(0xFFFFFFFF));                                \
        sums->steps_high += (int64_t)(steps - (steps & UINT64_C(0xFFFFFFFF))) / (INT64_C(1) << 32); \
    }

#define DEFINE_FOLD(NAME, REAL, RUN)                                                               \
    FAST static void NAME(const REAL *values, Py_ssize_t count, uint64_t start, int is_signed,     \
                          int64_t *lanes, int width, Sums *sums)                                   \
    {                                                                                              \
        int lane = (int)(start % (uint64_t)width);                                                 \
        while (count > 0) {                                                                        \
            int offset = (int)(start & 63), run = 64 - offset;                                     \
            uint64_t signs = is_signed ? word_of(KEY, start >> 6) >> offset : 0;                   \
            if (run > width - lane) {                                                              \
                run = width - lane;                                                                \
            }                                                                                      \
            if ((Py_ssize_t)run > count) {                                                         \
                run = (int)count;                                                                  \
            }                                                                                      \
            if (run == 64) {                                                                       \
                RUN(values, 64, signs, lanes + lane, sums);                                        \
            }                                                                                      \
            else {                                                                                 \
                RUN(values, run, signs, lanes + lane, sums);                                       \
            }                                                                                      \
            values += run;                                                                         \
            count -= run;                                                                          \
            start += (uint64_t)run;                                                                \
            lane = lane + run == width ? 0 : lane + run;                                           \
        }                                                                                          \
    }

#if !defined(__GNUC__)
#define __attribute__(X)
#endif
DEFINE_RUN(run_float, float)
DEFINE_RUN(run_double, double)
DEFINE_FOLD(fold_float, float, run_float)
DEFINE_FOLD(fold_double, double, run_double)

/* Sum 256 numbers with the sign of each of the eight bits of their places, modulo 2**64. */
static inline __attribute__((always_inline)) void
sum_by_bits(uint64_t *table, uint64_t *sums)
{
    for (int place = 7; place >= 0; place--) {
        int half = 1 << place; /* the upper half has the minus; then both are one, for the next bit */
        uint64_t sum = 0;
        for (int i = 0; i < half; i++) {
            sum += table[i] - table[i + half];
            table[i] += table[i + half];
        }
        sums[place] = sum;
    }
}

/* Sum the lanes with the signs of each row, modulo 2**64.
 *
 * Lanes with the same signs in eight rows are added up first: one addition of a lane serves eight
 * rows, and 256 numbers are left for them.
 */
FAST static void
project(const int64_t *lanes, Py_ssize_t count, uint64_t *sums)
{
    uint64_t tables[BYTES][256] = {{0}};
    for (Py_ssize_t i = 0; i < count; i++) {
        uint32_t signs = lane_signs[i];
        uint64_t lane = (uint64_t)lanes[i];
        tables[0][signs & 255] += lane;
        tables[1][signs >> 8 & 255] += lane;
        tables[2][signs >> 16 & 255] += lane;
        tables[3][signs >> 24] += lane;
    }
    for (int byte = 0; byte < BYTES; byte++) {
        sum_by_bits(tables[byte], sums + 8 * byte);
    }
}

/* The size of an element, as a pattern, and its index. */
typedef struct {
    uint64_t size;
    Py_ssize_t index;
} Place;

static int
is_before(Place a, Place b)
{
    return a.size > b.size || (a.size == b.size && a.index < b.index);
}

/* Insert a place into the best ones, which are in order; where there are `most`, one falls out. */
static inline void
insert(Place *best, int *count, int most, Place place)
{
    if (*count == most && !is_before(place, best[most - 1])) {
        return;
    }
    int at = *count < most ? (*count)++ : most - 1;
    for (; at > 0 && is_before(place, best[at - 1]); at--) {
        best[at] = best[at - 1];
    }
    best[at] = place;
}

#define DEFINE_PEAK(NAME, UINT)                                                                    \
    FAST static UINT NAME(const UINT *values, Py_ssize_t count)                                    \
    {                                                                                              \
        UINT peak = 0;                                                                             \
        for (Py_ssize_t i = 0; i < count; i++) {                                                   \
            UINT size = values[i] & (((UINT)-1) >> 1);                                             \
            peak = size > peak ? size : peak;                                                      \
        }                                                                                          \
        return peak;                                                                               \
    }

/* Find the places of elements above a bar, as many as there are but the largest `most` of them.
 *
 * None of these is outside of the `most` stretches with the largest peaks, of equal ones the first:
 * each of those has at least one element that comes before any outside. So most of the array is
 * looked at once, and quickly, and however it is sorted there is little to insert.
 */
#define DEFINE_TOP(NAME, UINT, PEAK)                                                               \
    static int NAME(const UINT *values, Py_ssize_t count, uint64_t bar, int most, Place *best)     \
    {                                                                                              \
        Place stretches[SHOWN];                                                                    \
        int found = 0, kept = 0;                                                                   \
        for (Py_ssize_t first = 0; first < count; first += STRETCH) {                              \
            Py_ssize_t here = count - first < STRETCH ? count - first : STRETCH;                   \
            Place stretch = {PEAK(values + first, here), first};                                   \
            if (stretch.size > bar) {                                                              \
                insert(stretches, &found, most, stretch);                                          \
            }                                                                                      \
        }                                                                                          \
        for (int k = 0; k < found; k++) {                                                          \
            Py_ssize_t i = stretches[k].index;                                                     \
            Py_ssize_t last = count - i < STRETCH ? count : i + STRETCH;                           \
            for (; i < last; i++) {                                                                \
                Place place = {values[i] & (((UINT)-1) >> 1), i};                                  \
                if (place.size > bar) {                                                            \
                    insert(best, &kept, most, place);                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        return kept;                                                                               \
    }

DEFINE_PEAK(peak_float, uint32_t)
DEFINE_PEAK(peak_double, uint64_t)
DEFINE_TOP(top_float, uint32_t, peak_float)
DEFINE_TOP(top_double, uint64_t, peak_double)

/* Return the pattern of the largest float32 that is not above a bar. */
static uint32_t
float_bar(double bar)
{
    float narrow = (float)bar;
    uint32_t pattern;
    memcpy(&pattern, &narrow, sizeof pattern);
    return (double)narrow > bar ? pattern - 1 : pattern;
}

/* ------------------------------------------------------------------------------- for Python */

/* Elements that are only read: of an array, or wherever a backend says that they lie. */
typedef struct {
    const void *values;
    Py_ssize_t count;
    int itemsize; /* 4: float32, 8: float64 */
    Py_buffer view;
} Floats;

static int
floats_at(PyObject *memory, Floats *found)
{
    unsigned long long address;
    if (!PyArg_ParseTuple(memory, "Kni", &address, &found->count, &found->itemsize)) {
        return -1;
    }
    if (address == 0 || found->count < 0 || (found->itemsize != 4 && found->itemsize != 8)) {
        PyErr_Format(PyExc_ValueError, "%zd elements of %d bytes at %llu: wanted 4 or 8 bytes",
                     found->count, found->itemsize, address);
        return -1;
    }
    found->values = (const void *)(uintptr_t)address;
    found->view.obj = NULL; /* nothing to release */
    return 0;
}

/* Find the elements of a flat array, or of a tuple of address, count and bytes of each. */
static int
floats_of(PyObject *object, Floats *found)
{
    Py_buffer *view = &found->view;
    if (PyTuple_Check(object)) {
        return floats_at(object, found);
    }
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        return -1;
    }
    if (view->ndim == 1 && (strcmp(view->format, "f") == 0 || strcmp(view->format, "d") == 0)) {
        found->values = view->buf;
        found->count = view->shape[0];
        found->itemsize = (int)view->itemsize;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "wanted a flat array of float32 or float64, not %d axes of '%s'",
                 view->ndim, view->format);
    PyBuffer_Release(view);
    return -1;
}

static double
element(const Floats *floats, Py_ssize_t index)
{
    return floats->itemsize == 4 ? (double)((const float *)floats->values)[index]
                                 : ((const double *)floats->values)[index];
}

static int
integers(PyObject *object, int flags, Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT | flags) < 0) {
        return -1;
    }
    if (view->ndim == 1 && view->itemsize == 8 && strchr("lq", view->format[0]) != NULL &&
        view->shape[0] <= LANES) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "wanted at most %d lanes of int64, not %zd bytes of '%s'", LANES,
                 view->len, view->format);
    PyBuffer_Release(view);
    return -1;
}

/* Look at elements, and return the largest absolute value. */
static double
survey(const Floats *floats, Survey *found)
{
    if (floats->itemsize == 4) {
        float narrow;
        uint32_t pattern;
        survey_float(floats->values, floats->count, found);
        pattern = (uint32_t)found->peak;
        memcpy(&narrow, &pattern, sizeof narrow);
        return (double)narrow;
    }
    survey_double(floats->values, floats->count, found);
    return value_of(found->peak);
}

/* Return None as a new reference.
 *
 * The headers of Python 3.12 have Py_RETURN_NONE take none, as None is immortal there. What was
 * built with them runs in Python 3.11 as well, which would run out of references to None.
 */
static PyObject *
none(void)
{
    Py_IncRef(Py_None);
    return Py_None;
}

PyDoc_STRVAR(survey_doc, "survey(values)\n--\n\n"
             "Return the largest absolute element, the zeros, and how many are NaN or Inf.\n\n"
             "The largest element means nothing where any is NaN or Inf.");

static PyObject *
py_survey(PyObject *module, PyObject *object)
{
    Floats values;
    Survey found = {0};
    (void)module;
    if (floats_of(object, &values) < 0) {
        return NULL;
    }
    double peak = survey(&values, &found);
    PyBuffer_Release(&values.view);
    return Py_BuildValue("dnn", peak, found.zeros, found.nonfinite);
}

PyDoc_STRVAR(top_doc, "top(values, bar, most)\n--\n\n"
             "Return index and value of the largest elements whose absolute value is above `bar`.\n\n"
             "At most `most`, 1 to 256; the largest first, of equal ones that of the lowest index.");

static PyObject *
py_top(PyObject *module, PyObject *args)
{
    PyObject *object, *found;
    Floats values;
    Place best[SHOWN];
    double bar;
    int most, count;
    (void)module;
    if (!PyArg_ParseTuple(args, "Odi", &object, &bar, &most) || floats_of(object, &values) < 0) {
        return NULL;
    }
    if (most < 1 || most > SHOWN) {
        PyBuffer_Release(&values.view);
        return PyErr_Format(PyExc_ValueError, "%d of the largest: wanted 1 to %d", most, SHOWN);
    }
    count = values.itemsize == 4
                ? top_float(values.values, values.count, float_bar(bar), most, best)
                : top_double(values.values, values.count, bits_of(bar), most, best);
    found = PyList_New(count);
    for (int i = 0; found != NULL && i < count; i++) {
        Py_ssize_t index = best[i].index;
        PyObject *pair = Py_BuildValue("Ld", (long long)index, element(&values, index));
        if (pair == NULL) {
            Py_CLEAR(found);
            break;
        }
        PyList_SetItem(found, i, pair);
    }
    PyBuffer_Release(&values.view);
    return found;
}

static void
fold(const Floats *floats, uint64_t start, int is_signed, int64_t *lanes, int width, Sums *sums)
{
    sums->step_bias = bits_of(sums->step_magic);
    sums->square_bias = bits_of(sums->square_magic);
    if (floats->itemsize == 4) {
        fold_float(floats->values, floats->count, start, is_signed, lanes, width, sums);
    }
    else {
        fold_double(floats->values, floats->count, start, is_signed, lanes, width, sums);
    }
}

/* Fill in the 32 values of a sketch from its lanes, each below 2**63. */
static void
finish(const int64_t *lanes, Py_ssize_t count, int exponent, double *values)
{
    uint64_t size = (uint64_t)count, sums[ROWS] = {0}, lows[ROWS] = {0};
    for (Py_ssize_t i = 0; i < count; i++) {
        size += (uint64_t)(lanes[i] < 0 ? -lanes[i] : lanes[i]) >> 12; /* rounded down */
    }
    int fits = size < UINT64_C(1) << 51; /* no sum of lanes reaches 2**63 */
    if (fits) {
        project(lanes, count, sums);
    }
    else {
        int64_t high[LANES], low[LANES];
        for (Py_ssize_t i = 0; i < count; i++) {
            low[i] = lanes[i] & INT64_C(0xFFFFFFFF);
            high[i] = (lanes[i] - low[i]) / (INT64_C(1) << 32);
        }
        project(high, count, sums);
        project(low, count, lows);
    }
    for (int row = 0; row < ROWS; row++) {
        double sum = (double)(int64_t)sums[row];
        if (!fits) { /* both are exact, so that only their sum is rounded */
            sum = sum * 4294967296.0 + (double)(int64_t)lows[row];
        }
        values[row] = ldexp(sum, exponent - STEP_BITS) / sqrt((double)ROWS);
    }
}

static PyObject *
tuple_of(const double *values)
{
    PyObject *tuple = PyTuple_New(ROWS);
    for (int row = 0; tuple != NULL && row < ROWS; row++) {
        PyObject *value = PyFloat_FromDouble(values[row]);
        if (value == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SetItem(tuple, row, value);
    }
    return tuple;
}

PyDoc_STRVAR(fold_doc, "fold(values, start, signed, lanes, step_magic, square_magic)\n--\n\n"
             "Add finite elements, at most 2**24 of them, to the lanes.\n\n"
             "Return the sums of squares and elements, each as high and low of high * 2**32 + low.\n"
             "The magic numbers are 1.5 * 2**52 steps: of an element, and of a square.");

static PyObject *
py_fold(PyObject *module, PyObject *args)
{
    PyObject *object, *target;
    Floats values;
    Py_buffer lanes;
    unsigned long long start;
    int is_signed;
    Sums sums = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OKpOdd", &object, &start, &is_signed, &target, &sums.step_magic,
                          &sums.square_magic)) {
        return NULL;
    }
    if (floats_of(object, &values) < 0) {
        return NULL;
    }
    if (integers(target, PyBUF_WRITABLE, &lanes) < 0) {
        PyBuffer_Release(&values.view);
        return NULL;
    }
    if (values.count > MOST || lanes.shape[0] == 0) {
        PyErr_Format(PyExc_ValueError, "%zd elements into %zd lanes: wanted at most %d into some",
                     values.count, lanes.shape[0], MOST);
        PyBuffer_Release(&values.view);
        PyBuffer_Release(&lanes);
        return NULL;
    }
    fold(&values, start, is_signed, lanes.buf, (int)lanes.shape[0], &sums);
    PyBuffer_Release(&values.view);
    PyBuffer_Release(&lanes);
    return Py_BuildValue("LLLL", (long long)sums.squares_high, (long long)sums.squares_low,
                         (long long)sums.steps_high, (long long)sums.steps_low);
}

PyDoc_STRVAR(project_doc, "project(lanes, exponent)\n--\n\n"
             "Return the 32 values of a sketch from its lanes, each below 2**63.");

static PyObject *
py_project(PyObject *module, PyObject *args)
{
    PyObject *target;
    Py_buffer view;
    int exponent;
    double values[ROWS];
    (void)module;
    if (!PyArg_ParseTuple(args, "Oi", &target, &exponent) || integers(target, 0, &view) < 0) {
        return NULL;
    }
    finish(view.buf, view.shape[0], exponent, values);
    PyBuffer_Release(&view);
    return tuple_of(values);
}

/* Return the index of the first of the largest elements. */
static Py_ssize_t
first_largest(const Floats *floats, const Survey *found)
{
    Py_ssize_t i = found->block;
    if (floats->itemsize == 4) {
        const uint32_t *values = floats->values;
        while ((values[i] & UINT32_C(0x7FFFFFFF)) != (uint32_t)found->peak) {
            i++;
        }
        return i;
    }
    const uint64_t *values = floats->values;
    while ((values[i] & UINT64_C(0x7FFFFFFFFFFFFFFF)) != found->peak) {
        i++;
    }
    return i;
}

/* Return the norm from the sum of squares, which is rounded once: either half is exact. */
static double
norm_of(const Sums *sums, int exponent)
{
    int64_t high = sums->squares_high + (sums->squares_low >> 32);
    int64_t low = sums->squares_low & INT64_C(0xFFFFFFFF);
    return ldexp(sqrt((double)high * 4294967296.0 + (double)low), exponent - SQUARE_BITS / 2);
}

PyDoc_STRVAR(reduce_doc, "reduce(values, width)\n--\n\n"
             "Return all there is to know of a whole array, folded into `width` lanes.\n\n"
             "None where an element is NaN or Inf, or the largest is not within 2**-400 and 2**400\n"
             "nor 0; else (largest, its index, zeros, exponent, norm, sketch, steps as of fold).");

static PyObject *
py_reduce(PyObject *module, PyObject *args)
{
    PyObject *object, *sketch;
    Floats values;
    Survey found = {0};
    Sums sums = {0};
    Py_ssize_t first = 0;
    int width, exponent, usable;
    int64_t lanes[LANES];
    double largest = 0.0, norm = 0.0, rows[ROWS];
    (void)module;
    if (!PyArg_ParseTuple(args, "Oi", &object, &width) || floats_of(object, &values) < 0) {
        return NULL;
    }
    if (values.count < 1 || values.count > MOST || width < 1 || width > LANES) {
        PyErr_Format(PyExc_ValueError, "%zd elements into %d lanes: wanted 1 to %d into 1 to %d",
                     values.count, width, MOST, LANES);
        PyBuffer_Release(&values.view);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    (void)frexp(survey(&values, &found), &exponent);
    usable = !found.nonfinite && exponent >= -PLAIN && exponent <= PLAIN;
    if (usable) {
        first = first_largest(&values, &found);
        largest = element(&values, first);
        memset(lanes, 0, (size_t)width * sizeof *lanes);
        sums.step_magic = ldexp(MAGIC, exponent - STEP_BITS);
        sums.square_magic = ldexp(MAGIC, 2 * exponent - SQUARE_BITS);
        fold(&values, 0, values.count > LANES, lanes, width, &sums);
        norm = norm_of(&sums, exponent);
        finish(lanes, width, exponent, rows);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&values.view);
    if (!usable) {
        return none();
    }
    sketch = tuple_of(rows);
    if (sketch == NULL) {
        return NULL;
    }
    return Py_BuildValue("dnnidNLL", largest, first, found.zeros, exponent, norm, sketch,
                         (long long)sums.steps_high, (long long)sums.steps_low);
}

/* Scale elements, with 0 for NaN and Inf, and fill up with 0. */
#define DEFINE_SCALE(NAME, REAL, UINT, INFINITE)                                                   \
    FAST static void NAME(const REAL *values, Py_ssize_t count, double scale, double *scaled)      \
    {                                                                                              \
        for (Py_ssize_t i = 0; i < count; i++) {                                                   \
            UINT size;                                                                             \
            memcpy(&size, values + i, sizeof size);                                                \
            scaled[i] = (size & (((UINT)-1) >> 1)) < INFINITE ? (double)values[i] * scale : 0.0;   \
        }                                                                                          \
        for (Py_ssize_t i = count; i < SPAN; i++) {                                                \
            scaled[i] = 0.0;                                                                       \
        }                                                                                          \
    }

DEFINE_SCALE(scale_float, float, uint32_t, UINT32_C(0x7F800000))
DEFINE_SCALE(scale_double, double, uint64_t, UINT64_C(0x7FF0000000000000))

FAST static void
multiply(const double *a, const double *b, Py_ssize_t count, double *sums)
{
    double tracks[TRACKS];
    memcpy(tracks, sums, sizeof tracks);
    for (Py_ssize_t first = 0; first < count; first += TRACKS) {
        for (int i = 0; i < TRACKS; i++) {
            tracks[i] += a[first + i] * b[first + i];
        }
    }
    memcpy(sums, tracks, sizeof tracks);
}

/* Add to sums[(row * rows + column) * TRACKS], columns not before the row; room is for the spans. */
static void
products(const Floats *arrays, Py_ssize_t rows, const double *scales, double *room, double *sums)
{
    Py_ssize_t count = arrays[0].count;
    for (Py_ssize_t first = 0; first < count; first += SPAN) {
        Py_ssize_t here = count - first < SPAN ? count - first : SPAN;
        for (Py_ssize_t row = 0; row < rows; row++) {
            if (arrays[row].itemsize == 4) {
                scale_float((const float *)arrays[row].values + first, here, scales[row],
                            room + row * SPAN);
            }
            else {
                scale_double((const double *)arrays[row].values + first, here, scales[row],
                             room + row * SPAN);
            }
        }
        for (Py_ssize_t row = 0; row < rows; row++) {
            for (Py_ssize_t column = row; column < rows; column++) {
                multiply(room + row * SPAN, room + column * SPAN, here,
                         sums + (row * rows + column) * TRACKS);
            }
        }
    }
}

/* Find as many arrays of one length, and a scale for each; return how many were found. */
static Py_ssize_t
arrays_of(PyObject *objects, PyObject *factors, Py_ssize_t rows, Floats *arrays, double *scales)
{
    for (Py_ssize_t row = 0; row < rows; row++) {
        scales[row] = PyFloat_AsDouble(PyTuple_GetItem(factors, row));
        if (PyErr_Occurred() || floats_of(PyTuple_GetItem(objects, row), &arrays[row]) < 0) {
            return row;
        }
        if (arrays[row].count != arrays[0].count) {
            PyErr_Format(PyExc_ValueError, "inner products of %zd and %zd elements",
                         arrays[0].count, arrays[row].count);
            return row + 1;
        }
    }
    return rows;
}

PyDoc_STRVAR(products_doc, "products(arrays, scales, sums)\n--\n\n"
             "Add the inner products of scaled arrays of one length to a flat array of float64.\n\n"
             "Sixteen sums for each pair, that of a later array with an earlier one left out.");

static PyObject *
py_products(PyObject *module, PyObject *args)
{
    PyObject *objects, *factors, *target;
    Py_buffer sums;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!O", &PyTuple_Type, &objects, &PyTuple_Type, &factors,
                          &target) ||
        PyObject_GetBuffer(target, &sums, PyBUF_ND | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    Py_ssize_t rows = PyTuple_Size(objects), found = 0;
    Floats *arrays = calloc((size_t)rows + 1, sizeof *arrays);
    double *room = malloc(((size_t)rows * (SPAN + 1) + 1) * sizeof *room);
    double *scales = room + rows * SPAN;
    if (arrays == NULL || room == NULL) {
        PyErr_NoMemory();
    }
    else if (rows < 1 || PyTuple_Size(factors) != rows || strcmp(sums.format, "d") != 0 ||
             sums.len != rows * rows * TRACKS * (Py_ssize_t)sizeof(double)) {
        PyErr_Format(PyExc_ValueError, "%zd arrays, %zd scales and %zd bytes of '%s' for the sums",
                     rows, PyTuple_Size(factors), sums.len, sums.format);
    }
    else {
        found = arrays_of(objects, factors, rows, arrays, scales);
        if (!PyErr_Occurred()) {
            Py_BEGIN_ALLOW_THREADS
            products(arrays, rows, scales, room, sums.buf);
            Py_END_ALLOW_THREADS
        }
    }
    for (Py_ssize_t row = 0; row < found; row++) {
        PyBuffer_Release(&arrays[row].view);
    }
    free(arrays);
    free(room);
    PyBuffer_Release(&sums);
    if (PyErr_Occurred()) {
        return NULL;
    }
    return none();
}

static int
execute(PyObject *module)
{
    (void)module;
    for (int row = 0; row < ROWS; row++) {
        uint64_t key = KEY ^ ((uint64_t)(row + 1) * UINT64_C(0xD1342543DE82EF95)), word = 0;
        for (int i = 0; i < LANES; i++) {
            word = i % 64 ? word : word_of(key, (uint64_t)i / 64);
            lane_signs[i] |= (uint32_t)(word >> i % 64 & 1) << row;
        }
    }
    return 0;
}

static PyMethodDef methods[] = {
    {"survey", py_survey, METH_O, survey_doc},
    {"top", py_top, METH_VARARGS, top_doc},
    {"fold", py_fold, METH_VARARGS, fold_doc},
    {"project", py_project, METH_VARARGS, project_doc},
    {"reduce", py_reduce, METH_VARARGS, reduce_doc},
    {"products", py_products, METH_VARARGS, products_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernels",
    .m_doc = "The inner loops of the statistics; see their twins in numpy.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__kernels(void)
{
    return PyModuleDef_Init(&definition);
}
