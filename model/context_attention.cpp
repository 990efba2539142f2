#include "model/context_attention.h"

#include "kernels/embedding.h"
#include "kernels/heads.h"
#include "kernels/prefix_attention.h"
#include "kernels/tensor_checks.h"

namespace weft::model {
namespace {

using kernels::Arena;

// Elements of a token's keys and values together.
std::int64_t width(const kernels::HeadLayout& heads) { return 2 * heads.heads_k * heads.head_dim; }

// Views of what one piece has to do with.
struct PieceViews {
  const SplitRows::Piece& piece;
  const kernels::HeadLayout& heads;

  // Of rows that begin with the queries.
  [[nodiscard]] at::Tensor queries(const at::Tensor& rows) const {
    return part(rows.narrow(0, piece.row, piece.rows), 0, heads.heads_q);
  }
  [[nodiscard]] at::Tensor lse(const at::Tensor& all) const {
    return all.narrow(0, heads.heads_q * piece.row, heads.heads_q * piece.rows);
  }
  [[nodiscard]] at::Tensor keys(const at::Tensor& all) const {
    return part(all.narrow(0, piece.first_key, piece.keys), 0, heads.heads_k);
  }
  [[nodiscard]] at::Tensor values(const at::Tensor& all) const {
    return part(all.narrow(0, piece.first_key, piece.keys), heads.heads_k, heads.heads_k);
  }
  [[nodiscard]] at::Tensor part(const at::Tensor& rows, std::int64_t first,
                                std::int64_t count) const {
    return kernels::heads_of(rows, first, count, heads.head_dim);
  }
};

// Columns of keys and values of this rank's split rows.
at::Tensor own_columns(const ContextAttention& a, const at::Tensor& qkv) {
  return qkv.narrow(0, 0, a.split.rows)
      .narrow(1, a.heads.heads_q * a.heads.head_dim, width(a.heads));
}

at::Tensor take_gathered(const ContextAttention& a, at::ScalarType dtype, Arena& scratch) {
  return scratch.take({a.exchange.size(), a.split.padded, width(a.heads)}, dtype);
}

// Keys and values of the split documents' tokens in order, [S, 2 Hk D], by way of `gathered`.
void gather(const ContextAttention& a, const at::Tensor& qkv, const at::Tensor& gathered,
            const at::Tensor& ordered, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const at::Tensor mine = scratch.take({a.split.padded, width(a.heads)}, qkv.scalar_type());
  mine.narrow(0, 0, a.split.rows).copy_(own_columns(a, qkv));
  a.exchange.all_gather(mine, gathered, a.layer);
  kernels::embedding_forward(gathered.flatten(0, 1), a.split.order, ordered);
}

// Gradients of all keys and values by this rank's queries, as the ranks have them: `blocks` [C, R,
// 2 Hk D], in which rows that fill up are left as they are. Writes those of the queries.
void add_up_pieces(const ContextAttention& a, const at::Tensor& dout, const at::Tensor& qkv,
                   const at::Tensor& out, const at::Tensor& lse, const at::Tensor& dqkv,
                   const at::Tensor& blocks, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const at::Tensor ordered =
      scratch.take({a.split.order.size(0), width(a.heads)}, qkv.scalar_type());
  gather(a, qkv, blocks, ordered, scratch);
  const at::Tensor gradients = scratch.take(ordered.sizes(), lse.scalar_type());
  gradients.zero_();
  for (const SplitRows::Piece& piece : a.split.pieces) {
    const PieceViews of{piece, a.heads};
    kernels::prefix_attention_backward(of.queries(dout), of.queries(qkv), of.keys(ordered),
                                       of.values(ordered), of.queries(out), of.lse(lse),
                                       of.queries(dqkv), of.keys(gradients), of.values(gradients),
                                       a.options, scratch);
  }
  ordered.copy_(gradients);  // in the type that is sent; the keys are used up
  blocks.flatten(0, 1).index_copy_(0, a.split.order, ordered);
}

}  // namespace

void context_attention_forward(const ContextAttention& a, const at::Tensor& qkv,
                               const at::Tensor& out, const at::Tensor& lse, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const at::Tensor ordered =
      scratch.take({a.split.order.size(0), width(a.heads)}, qkv.scalar_type());
  {
    const Arena::Scope gathering(scratch);
    gather(a, qkv, take_gathered(a, qkv.scalar_type(), scratch), ordered, scratch);
  }
  for (const SplitRows::Piece& piece : a.split.pieces) {
    const PieceViews of{piece, a.heads};
    kernels::prefix_attention_forward(of.queries(qkv), of.keys(ordered), of.values(ordered),
                                      of.queries(out), of.lse(lse), a.options, scratch);
  }
}

void context_attention_backward(const ContextAttention& a, const at::Tensor& dout,
                                const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
                                const at::Tensor& dqkv, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const at::Tensor blocks = take_gathered(a, qkv.scalar_type(), scratch);
  add_up_pieces(a, dout, qkv, out, lse, dqkv, blocks, scratch);
  const at::Tensor received = take_gathered(a, qkv.scalar_type(), scratch);
  a.exchange.all_to_all(blocks, received, a.layer);
  const at::Tensor sum = scratch.take({a.split.rows, width(a.heads)}, lse.scalar_type());
  sum.copy_(received.select(0, 0).narrow(0, 0, a.split.rows));
  for (std::int64_t rank = 1; rank < a.exchange.size(); ++rank) {
    sum.add_(received.select(0, rank).narrow(0, 0, a.split.rows));
  }
  own_columns(a, dqkv).copy_(sum);
}

}  // namespace weft::model
