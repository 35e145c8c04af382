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
#include <string.h>

/* One copy of a loop for each generation of processors; the loader takes the best that runs. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif

#define LANES 4093
#define WORDS 64 /* of 64 signs, for LANES signs */
#define ROWS 32
#define KEY 1
#define STEP_BITS 50
#define SQUARE_BITS 46
#define MAGIC 6755399441055744.0 /* 1.5 * 2**52 */
#define PLAIN 400 /* of exponents: squares within float64 */
#define MOST (1 << 24) /* elements of 50 bits whose lanes fit into 64 */
#define STRETCH 512 /* elements that are looked at one by one if any of them is large */
#define BLOCK 65536 /* elements that are counted in 32 bits */

static uint64_t row_words[WORDS][ROWS];
static uint64_t bit[64];
static uint64_t masks[16][4]; /* all ones where a bit of the number is set */

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

typedef struct {
    uint64_t peak; /* bit pattern of the largest absolute value */
    Py_ssize_t zeros;
    Py_ssize_t nonfinite;
} Survey;

/* Patterns of absolute values are ordered as the values are, with Inf and NaN above all. */
#define DEFINE_SURVEY(NAME, UINT, INFINITE)                                                        \
    FAST static void NAME(const UINT *values, Py_ssize_t count, Survey *found)                     \
    {                                                                                              \
        UINT peak = 0;                                                                             \
        Py_ssize_t zeros = 0, nonfinite = 0;                                                       \
        for (Py_ssize_t first = 0; first < count; first += BLOCK) {                                \
            Py_ssize_t last = count - first < BLOCK ? count : first + BLOCK;                       \
            UINT none = 0, odd = 0;                                                                \
            for (Py_ssize_t i = first; i < last; i++) {                                            \
                UINT size = values[i] & (((UINT)-1) >> 1);                                         \
                peak = size > peak ? size : peak;                                                  \
                none += size == 0;                                                                 \
                odd += size >= INFINITE;                                                           \
            }                                                                                      \
            zeros += (Py_ssize_t)none;                                                             \
            nonfinite += (Py_ssize_t)odd;                                                          \
        }                                                                                          \
        found->peak = peak;                                                                        \
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

/* Add a run of elements within one word of signs and one row of lanes. */
#define DEFINE_RUN(NAME, REAL)                                                                     \
    static inline __attribute__((always_inline)) void NAME(                                        \
        const REAL *values, int count, uint64_t signs, int64_t *lanes, Sums *sums)                 \
    {                                                                                              \
        const double step_magic = sums->step_magic, square_magic = sums->square_magic;             \
        const uint64_t step_bias = sums->step_bias, square_bias = sums->square_bias;               \
        uint64_t squares = 0, steps = 0;                                                           \
        for (int i = 0; i < count; i++) {                                                          \
            double wide = (double)values[i];                                                       \
            uint64_t step = bits_of(wide + step_magic) - step_bias;                                \
            uint64_t minus = (signs & bit[i]) ? ~(uint64_t)0 : 0;                                  \
            steps += step;                                                                         \
            lanes[i] += (int64_t)((step ^ minus) - minus);                                         \
            squares += bits_of(wide * wide + square_magic) - square_bias;                          \
        }                                                                                          \
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

/* Sum the lanes with the signs of each row, modulo 2**64: all of them less twice those with -1. */
FAST static void
project(const int64_t *lanes, Py_ssize_t count, uint64_t *sums)
{
    uint64_t total = 0, minus[ROWS][4] = {{0}};
    for (Py_ssize_t first = 0; first < count; first += 64) {
        uint64_t padded[64] = {0};
        const uint64_t *words = row_words[first / 64];
        Py_ssize_t here = count - first < 64 ? count - first : 64;
        memcpy(padded, lanes + first, (size_t)here * sizeof *lanes);
        for (int row = 0; row < ROWS; row++) {
            uint64_t signs = words[row];
            uint64_t a = minus[row][0], b = minus[row][1], c = minus[row][2], d = minus[row][3];
            for (int i = 0; i < 64; i += 4) {
                const uint64_t *mask = masks[(signs >> i) & 15];
                a += padded[i] & mask[0];
                b += padded[i + 1] & mask[1];
                c += padded[i + 2] & mask[2];
                d += padded[i + 3] & mask[3];
            }
            minus[row][0] = a;
            minus[row][1] = b;
            minus[row][2] = c;
            minus[row][3] = d;
        }
        for (int i = 0; i < 64; i++) {
            total += padded[i];
        }
    }
    for (int row = 0; row < ROWS; row++) {
        sums[row] = total - 2 * (minus[row][0] + minus[row][1] + minus[row][2] + minus[row][3]);
    }
}

/* Whether any absolute value, as a pattern, is above another. */
#define DEFINE_ANY(NAME, UINT)                                                                     \
    FAST static int NAME(const UINT *values, Py_ssize_t count, UINT bar)                           \
    {                                                                                              \
        UINT found = 0;                                                                            \
        for (Py_ssize_t i = 0; i < count; i++) {                                                   \
            found += (values[i] & (((UINT)-1) >> 1)) > bar;                                        \
        }                                                                                          \
        return found != 0;                                                                         \
    }

DEFINE_ANY(any_float, uint32_t)
DEFINE_ANY(any_double, uint64_t)

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

static int
floats(PyObject *object, Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        return -1;
    }
    if (view->ndim == 1 && (strcmp(view->format, "f") == 0 || strcmp(view->format, "d") == 0)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "wanted a flat array of float32 or float64, not %d axes of '%s'",
                 view->ndim, view->format);
    PyBuffer_Release(view);
    return -1;
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

/* Look at a view, whose type has been checked, and return its largest absolute element. */
static double
survey(const Py_buffer *view, Survey *found)
{
    double peak;
    if (view->itemsize == 4) {
        float narrow;
        uint32_t pattern;
        survey_float(view->buf, view->shape[0], found);
        pattern = (uint32_t)found->peak;
        memcpy(&narrow, &pattern, sizeof narrow);
        return (double)narrow;
    }
    survey_double(view->buf, view->shape[0], found);
    memcpy(&peak, &found->peak, sizeof peak);
    return peak;
}

PyDoc_STRVAR(survey_doc, "survey(values)\n--\n\n"
             "Return the largest absolute element, the zeros, and how many are NaN or Inf.\n\n"
             "The largest element means nothing where any is NaN or Inf.");

static PyObject *
py_survey(PyObject *module, PyObject *object)
{
    Py_buffer view;
    Survey found = {0};
    (void)module;
    if (floats(object, &view) < 0) {
        return NULL;
    }
    double peak = survey(&view, &found);
    PyBuffer_Release(&view);
    return Py_BuildValue("dnn", peak, found.zeros, found.nonfinite);
}

PyDoc_STRVAR(above_doc, "above(values, bar, most)\n--\n\n"
             "Return the indices of elements with a larger absolute value than `bar`.\n\n"
             "None where there are more than `most`, at most 256.");

static PyObject *
py_above(PyObject *module, PyObject *args)
{
    PyObject *object, *found = NULL;
    Py_buffer view;
    double bar;
    Py_ssize_t most, count = 0, where[256];
    (void)module;
    if (!PyArg_ParseTuple(args, "Odn", &object, &bar, &most) || floats(object, &view) < 0) {
        return NULL;
    }
    most = most < 256 ? most : 256;
    for (Py_ssize_t first = 0; first < view.shape[0] && count <= most; first += STRETCH) {
        Py_ssize_t last = view.shape[0] - first < STRETCH ? view.shape[0] : first + STRETCH;
        int any = view.itemsize == 4 ? any_float((const uint32_t *)view.buf + first, last - first, float_bar(bar))
                                     : any_double((const uint64_t *)view.buf + first, last - first, bits_of(bar));
        for (Py_ssize_t i = first; any && i < last; i++) {
            double value = view.itemsize == 4 ? (double)((const float *)view.buf)[i]
                                              : ((const double *)view.buf)[i];
            if (fabs(value) > bar) {
                if (count < most) {
                    where[count] = i;
                }
                count++;
            }
        }
    }
    PyBuffer_Release(&view);
    if (count > most) {
        Py_RETURN_NONE;
    }
    found = PyList_New(count);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        PyObject *index = PyLong_FromSsize_t(where[i]);
        if (index == NULL) {
            Py_CLEAR(found);
            break;
        }
        PyList_SetItem(found, i, index);
    }
    return found;
}

/* Fold a view, whose type has been checked. */
static void
fold(const Py_buffer *view, uint64_t start, int is_signed, int64_t *lanes, int width, Sums *sums)
{
    sums->step_bias = bits_of(sums->step_magic);
    sums->square_bias = bits_of(sums->square_magic);
    if (view->itemsize == 4) {
        fold_float(view->buf, view->shape[0], start, is_signed, lanes, width, sums);
    }
    else {
        fold_double(view->buf, view->shape[0], start, is_signed, lanes, width, sums);
    }
}

/* Fill in the 32 values of a sketch from its lanes, each below 2**63. */
static void
finish(const int64_t *lanes, Py_ssize_t count, int exponent, double *values)
{
    double size = 0.0;
    uint64_t sums[ROWS] = {0}, lows[ROWS] = {0};
    for (Py_ssize_t i = 0; i < count; i++) {
        size += fabs((double)lanes[i]);
    }
    int fits = size < 4611686018427387904.0; /* 2**62: no sum of them leaves 64 bits */
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
    Py_buffer view, lanes;
    unsigned long long start;
    int is_signed;
    Sums sums = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OKpOdd", &object, &start, &is_signed, &target, &sums.step_magic,
                          &sums.square_magic)) {
        return NULL;
    }
    if (floats(object, &view) < 0) {
        return NULL;
    }
    if (integers(target, PyBUF_WRITABLE, &lanes) < 0) {
        PyBuffer_Release(&view);
        return NULL;
    }
    if (view.shape[0] > MOST || lanes.shape[0] == 0) {
        PyErr_Format(PyExc_ValueError, "%zd elements into %zd lanes: wanted at most %d into some",
                     view.shape[0], lanes.shape[0], MOST);
        PyBuffer_Release(&view);
        PyBuffer_Release(&lanes);
        return NULL;
    }
    fold(&view, start, is_signed, lanes.buf, (int)lanes.shape[0], &sums);
    PyBuffer_Release(&view);
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

PyDoc_STRVAR(reduce_doc, "reduce(values, width)\n--\n\n"
             "Return all there is to know of a whole array, folded into `width` lanes.\n\n"
             "None where an element is NaN or Inf, or the largest is not within 2**-400 and 2**400\n"
             "nor 0; else (peak, zeros, exponent, sketch, sums as of fold).");

static PyObject *
py_reduce(PyObject *module, PyObject *args)
{
    PyObject *object, *sketch;
    Py_buffer view;
    Survey found = {0};
    Sums sums = {0};
    int width, exponent, usable;
    int64_t lanes[LANES] = {0};
    double peak, values[ROWS];
    (void)module;
    if (!PyArg_ParseTuple(args, "Oi", &object, &width) || floats(object, &view) < 0) {
        return NULL;
    }
    if (view.shape[0] > MOST || width < 1 || width > LANES) {
        PyErr_Format(PyExc_ValueError, "%zd elements into %d lanes: wanted at most %d into 1 to %d",
                     view.shape[0], width, MOST, LANES);
        PyBuffer_Release(&view);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    peak = survey(&view, &found);
    (void)frexp(peak, &exponent);
    usable = !found.nonfinite && exponent >= -PLAIN && exponent <= PLAIN;
    if (usable) {
        sums.step_magic = ldexp(MAGIC, exponent - STEP_BITS);
        sums.square_magic = ldexp(MAGIC, 2 * exponent - SQUARE_BITS);
        fold(&view, 0, view.shape[0] > LANES, lanes, width, &sums);
        finish(lanes, width, exponent, values);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    if (!usable) {
        Py_RETURN_NONE;
    }
    sketch = tuple_of(values);
    if (sketch == NULL) {
        return NULL;
    }
    return Py_BuildValue("dniNLLLL", peak, found.zeros, exponent, sketch,
                         (long long)sums.squares_high, (long long)sums.squares_low,
                         (long long)sums.steps_high, (long long)sums.steps_low);
}

static int
execute(PyObject *module)
{
    (void)module;
    for (int i = 0; i < 64; i++) {
        bit[i] = (uint64_t)1 << i;
        masks[i / 4][i % 4] = (i / 4) >> (i % 4) & 1 ? ~(uint64_t)0 : 0;
    }
    for (int row = 0; row < ROWS; row++) {
        uint64_t key = KEY ^ ((uint64_t)(row + 1) * UINT64_C(0xD1342543DE82EF95));
        for (int i = 0; i < WORDS; i++) {
            row_words[i][row] = word_of(key, (uint64_t)i);
        }
    }
    return 0;
}

static PyMethodDef methods[] = {
    {"survey", py_survey, METH_O, survey_doc},
    {"above", py_above, METH_VARARGS, above_doc},
    {"fold", py_fold, METH_VARARGS, fold_doc},
    {"project", py_project, METH_VARARGS, project_doc},
    {"reduce", py_reduce, METH_VARARGS, reduce_doc},
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
