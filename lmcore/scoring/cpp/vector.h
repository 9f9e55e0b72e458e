// What the other files share: memory, masks, and arithmetic on 16 float32 numbers at a time.
//
// A row of every result depends on its own inputs alone, never on how many rows there are or which. All vector arithmetic is written out and
// the compiler must not contract (-ffp-contract=off), so that compilers agree on every bit.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace {

int64_t up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Memory that only grows, one per use.
template <class T>
struct Scratch {
    T* data = nullptr;
    int64_t size = 0;
    T* of(int64_t wanted) {
        if (wanted > size) {
            free(data);
            data = static_cast<T*>(aligned_alloc(64, up(wanted * sizeof(T), 64)));
            size = wanted;
        }
        return data;
    }
};

__mmask16 first(int64_t n) { return n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1u << n) - 1; }

__m512 exp_of(__m512 x) {  // within 1.5 ulp; 0 for what is too small, NaN for NaN
    x = _mm512_max_ps(_mm512_set1_ps(-200.f), x);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x));
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f, 1.f, 1.f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    return _mm512_scalef_ps(p, n);
}

double sum_of(__m512 x) {
    alignas(64) float lanes[16];
    _mm512_store_ps(lanes, x);
    double total = 0;
    for (float lane : lanes) total += lane;
    return total;
}

}  // namespace
