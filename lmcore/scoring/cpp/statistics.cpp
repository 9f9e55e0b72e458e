// Log-prob, entropy, rank and top token from rows of logits, two readings a row.

#include "vector.h"

extern "C" {

// What logits (n, V) say of the pairs (row, next token), sorted by row; of each row its largest logit and the log of the sum of
// exp(logit - largest). What is not finite stays so.
void lmcore_statistics(const float* logits, int64_t V, const int64_t* rows, const int64_t* next, int64_t n_pairs, float* logprob,
                       float* entropy, int32_t* rank, int32_t* top_id, float* top_logprob, float* top, float* log_total) {
    const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::max());
    for (int64_t p = 0; p < n_pairs; p++) {
        const float* x = logits + rows[p] * V;
        const bool known = p && rows[p] == rows[p - 1];
        const __m512 own = _mm512_set1_ps(x[next[p]]);
        __m512 most = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
        int64_t larger = 0;
        for (int64_t v = 0; v < V; v += 16) {
            const __mmask16 mask = first(V - v);
            const __m512 value = _mm512_maskz_loadu_ps(mask, x + v);
            larger += __builtin_popcount(_mm512_mask_cmp_ps_mask(mask, value, own, _CMP_GT_OQ));
            most = _mm512_mask_max_ps(most, mask, most, value);
        }
        rank[p] = static_cast<int32_t>(larger + 1);
        if (known) {
            entropy[p] = entropy[p - 1], top_id[p] = top_id[p - 1], top_logprob[p] = top_logprob[p - 1];
        } else {
            const float largest = _mm512_reduce_max_ps(most);
            most = _mm512_set1_ps(largest);
            __m512 sums[4], spreads[4];
            std::fill_n(sums, 4, _mm512_setzero_ps());
            std::fill_n(spreads, 4, _mm512_setzero_ps());
            int64_t at = -1;
            for (int64_t v = 0; v < V; v += 16) {
                const __mmask16 mask = first(V - v);
                const __m512 value = _mm512_maskz_loadu_ps(mask, x + v), shifted = _mm512_sub_ps(value, most);
                const __mmask16 equal = _mm512_mask_cmp_ps_mask(mask, value, most, _CMP_EQ_OQ);
                if (at < 0 && equal) at = v + __builtin_ctz(equal);
                const __m512 weight = _mm512_maskz_mov_ps(mask, exp_of(shifted));
                const int lane = v / 16 % 4;
                sums[lane] = _mm512_add_ps(sums[lane], weight);
                spreads[lane] = _mm512_fmadd_ps(weight, _mm512_max_ps(lowest, shifted), spreads[lane]);  // 0 * log 0 = 0
            }
            double total = 0, spread = 0;
            for (int lane = 0; lane < 4; lane++) total += sum_of(sums[lane]), spread += sum_of(spreads[lane]);
            top[rows[p]] = largest;
            log_total[rows[p]] = static_cast<float>(std::log(total));
            entropy[p] = static_cast<float>(std::log(total) - spread / total);
            if (entropy[p] < 0) entropy[p] = 0;
            top_id[p] = static_cast<int32_t>(at);
            top_logprob[p] = -log_total[rows[p]];
        }
        logprob[p] = x[next[p]] - top[rows[p]] - log_total[rows[p]];
    }
}

}  // extern "C"
