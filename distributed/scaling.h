#pragma once

#include <cstdint>
#include <string>

namespace weft::distributed {

/// Payload that rank `rank` of `size` sends in one training step over Gloo, in bytes: two rounds of
/// the gradients' slices, and what the ranks tell each other of the batch, the losses and the norm.
/// `gradients` is the length of the flat fp32 buffer, `micro_batches` those of the whole step,
/// `context` the ranks that share each of them.
[[nodiscard]] std::uint64_t step_bytes(int rank, int size, std::int64_t gradients,
                                       std::int64_t micro_batches, int context = 1);

/// Payload that each of `members` ranks sends in a training pass over a micro-batch that they share
/// out: `row_bytes` are those of a rank's keys and values in a layer, as many as the largest part
/// has. They are gathered forward and backward, and once more where layers are computed again;
/// their gradients are as many.
[[nodiscard]] std::uint64_t context_bytes(int members, std::int64_t layers, std::int64_t row_bytes,
                                          bool recompute);

/// Payload that each of `members` ranks sends for the layers of a base that they share, in
/// `passes` training passes after the first one: 2 L - 4 gathers each, as two layers are held where
/// a pass turns and where the next begins.
[[nodiscard]] std::uint64_t shared_layer_bytes(int members, std::int64_t layers,
                                               std::uint64_t share_bytes, std::int64_t passes);

/// What the ranks tell each other of a step, beside the gradients, in bytes a rank; the messages'
/// own structs are held against it where they are defined.
inline constexpr std::uint64_t kBatchMessage = 40;
inline constexpr std::uint64_t kStepMessage = 16;
inline constexpr std::uint64_t kNormMessage = 8;

/// A kind of GPU and how many of them are connected how. Rates are those of one GPU.
struct Cluster {
  double flops = 0;            ///< that a step reaches, per second
  double link = 0;             ///< bytes a second and direction within a node
  double network = 0;          ///< bytes a second and direction between nodes
  double link_latency = 0;     ///< seconds a hop
  double network_latency = 0;  ///< seconds a hop
  int gpus_per_node = 8;
};

/// Tokens of a pass from which on computing one layer forward takes as long as gathering another in
/// bf16: 2 FLOPs and (W - 1) / W of 2 bytes for each weight, over the slowest link.
[[nodiscard]] double hiding_tokens(const Cluster& cluster, int gpus);

/// The best of a ring and a double tree for an all-reduce of `bytes`, as NCCL chooses, in seconds:
/// 2 (W - 1) / W bytes and 2 (W - 1) hops, or 2 bytes and 2 log2 W hops, over the slowest link.
[[nodiscard]] double all_reduce_seconds(const Cluster& cluster, int gpus, double bytes);

struct StepTime {
  double compute = 0;        ///< seconds
  double communication = 0;  ///< seconds, none of it hidden behind the backward pass
  [[nodiscard]] double share() const { return communication / (compute + communication); }
};

/// A step of `flops` on each GPU and an all-reduce of `gradient_bytes`, with the small messages of
/// a step, of which each takes log2 W hops.
[[nodiscard]] StepTime step_time(const Cluster& cluster, int gpus, double flops,
                                 double gradient_bytes);

/// docs/scaling.md.
[[nodiscard]] std::string scaling_markdown();

}  // namespace weft::distributed
