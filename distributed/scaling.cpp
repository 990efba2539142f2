#include "distributed/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <string_view>

namespace weft::distributed {
namespace {

constexpr int kMessages = 4;  // batch, losses' header, losses, norm

struct Model {
  const char* name;
  double parameters;
  double adapter;  // LoRA, rank 32, all projections
  double layers;
  double layer;    // weights of its matrices
  double queries;  // numbers of a token's queries in a layer; its keys and values have 1,024 each
};

// From the published configs: L·r·(sum over projections of in + out).
constexpr std::array<Model, 4> kModels = {{{"Qwen3-0.6B", 0.60e9, 20.2e6, 28, 15.73e6, 2048},
                                           {"Qwen3-4B", 4.02e9, 66.1e6, 36, 100.93e6, 4096},
                                           {"Qwen3-8B", 8.19e9, 87.3e6, 36, 192.94e6, 4096},
                                           {"Qwen3-32B", 32.8e9, 268.4e6, 64, 487.59e6, 8192}}};
constexpr std::array<int, 9> kGpus = {1, 2, 4, 8, 16, 64, 256, 512, 1024};

// 400 TFLOP/s of bf16 is about 40% of an H100's peak, 450 GB/s its NVLink, 50 GB/s one 400 Gb/s
// port.
constexpr Cluster kH100{400e12, 450e9, 50e9, 3e-6, 10e-6, 8};

std::string table(double tokens) {
  std::string text = "| GPUs |";
  std::string rule = "| ---: |";
  for (const Model& model : kModels) {
    text += fmt::format(" {} |", model.name);
    rule += " ---: |";
  }
  text += "\n" + rule + "\n";
  for (const int gpus : kGpus) {
    text += fmt::format("| {} |", gpus);
    for (const Model& model : kModels) {
      const StepTime time =
          step_time(kH100, gpus, 4 * model.parameters * tokens, 4 * model.adapter);
      text += fmt::format(" {:.0f} + {:.1f} ms, {:.2f}% |", 1e3 * time.compute,
                          1e3 * time.communication, 100 * time.share());
    }
    text += "\n";
  }
  return text;
}

// A row for each number of ranks, a column for each model.
template <typename Cell>
std::string table_by_ranks(std::string_view first, std::initializer_list<int> counts, Cell&& cell) {
  std::string text = fmt::format("| {} |", first);
  std::string rule = "| ---: |";
  for (const Model& model : kModels) {
    text += fmt::format(" {} |", model.name);
    rule += " ---: |";
  }
  text += "\n" + rule + "\n";
  for (const int ranks : counts) {
    text += fmt::format("| {} |", ranks);
    for (const Model& model : kModels) {
      text += " " + cell(model, ranks) + " |";
    }
    text += "\n";
  }
  return text;
}

double link_of(int ranks) { return ranks <= kH100.gpus_per_node ? kH100.link : kH100.network; }

// What a rank holds of a base in bf16, and what it receives of it for each pass.
std::string sharing_table() {
  return table_by_ranks(
      "ranks that share", {1, 2, 4, 8, 16, 64}, [](const Model& model, int ranks) {
        const double whole = model.parameters - model.layers * model.layer;
        const double held = ranks == 1
                                ? model.parameters
                                : whole + model.layers * model.layer / ranks + 2 * model.layer;
        const double received =
            (2 * model.layers - 4) * 2 * model.layer * (1 - 1 / static_cast<double>(ranks));
        return fmt::format("{:.1f} GB, {:.0f} ms", 2e-9 * held, 1e3 * received / link_of(ranks));
      });
}

std::string sharing_section() {
  return fmt::format(
      "\n## A base spread over the ranks (`shard_base`)\n\n"
      "Of each layer's matrices a rank holds its share, and two layers whole. What a rank holds of "
      "the base in bf16, and how long a pass's gathers take if nothing else used the link: 2 L - 4 "
      "of them, as two layers are still held where a pass turns and where the next begins.\n\n"
      "{}\n"
      "A gather is hidden while computing one layer takes as long: from {:.0f} tokens a pass on "
      "within a node of eight, and from {:.0f} between nodes, whatever the model (2 FLOPs and at "
      "most 2 bytes for each weight; the backward pass over a frozen base computes as much for the "
      "same bytes, with gradient_checkpointing twice as much). So `node` costs next to nothing "
      "where a "
      "micro-batch has a few thousand tokens, and `world` asks for ten times as many. It pays "
      "where the base would not fit, or where the memory that it frees makes micro-batches larger "
      "or spares computing layers again; with a base that fits anyway `none` is never slower. What "
      "is counted and not modelled: the bytes that each rank sends, held to the byte against real "
      "runs (`SharedBase` in `tests/program/shared_base_test.cpp`).\n",
      sharing_table(), hiding_tokens(kH100, 8), hiding_tokens(kH100, 64));
}

// Seconds that a rank of `ranks` computes for a document of so many tokens, and exchanges in bf16.
StepTime shared_document_time(const Model& model, double tokens, int ranks) {
  const double share = tokens / ranks;
  StepTime time;
  time.compute =
      model.layers * (4 * model.layer * share + 7 * model.queries * tokens * share) / kH100.flops;
  const double bytes = 3 * (tokens - share) * 2 * 1024 * 2;
  time.communication = model.layers * bytes / link_of(ranks);
  return time;
}

std::string context_table(double tokens) {
  return table_by_ranks("ranks that share", {2, 4, 8, 16, 64}, [&](const Model& model, int ranks) {
    const StepTime time = shared_document_time(model, tokens, ranks);
    return fmt::format("{:.2f} + {:.2f} s, {:.1f}%", time.compute, time.communication,
                       100 * time.share());
  });
}

std::string context_section() {
  return fmt::format(
      "\n## Documents spread over ranks (`context_parallel_size`)\n\n"
      "In each layer a rank sends the keys and values of its rows of split documents to the others "
      "of its group, forward and backward, and their gradients once: 3 (C - 1) R (2 Hk D) numbers, "
      "where R is the most rows that a rank of the group has; 4 instead of 3 where layers are "
      "computed again. None of it is hidden. For one document, bf16 and a frozen base, computing + "
      "exchanging, and the latter's share:\n\n### 32,768 tokens\n\n{}\n### 131,072 "
      "tokens\n\n{}\n"
      "Attention grows with the square of a document and the exchange with its length, so that "
      "within a node of eight the exchange is a few hundredths of all but the smallest models' "
      "passes. Between nodes it can take longer than the computing: there a group pays only where "
      "nothing else fits. What is counted and not modelled: the bytes that each rank sends, "
      "held to the byte against real passes of two, three and four ranks (`ContextBytes` in "
      "`tests/trainer/context_test.cpp`). Documents that fit into one rank's memory are trained "
      "faster without, on as many ranks: each then has its own.\n",
      context_table(32768), context_table(131072));
}

}  // namespace

std::uint64_t step_bytes(int rank, int size, std::int64_t gradients, std::int64_t micro_batches,
                         int context) {
  const std::int64_t own = gradients / size + (rank < gradients % size ? 1 : 0);
  const auto peers = static_cast<std::uint64_t>(size - 1);
  const int lanes = size / context;
  const auto rows = static_cast<std::uint64_t>((micro_batches + lanes - 1) / lanes);
  return 4 * (static_cast<std::uint64_t>(gradients - own) +
              static_cast<std::uint64_t>(own) * peers) +
         peers * (kBatchMessage + kStepMessage + 8 * rows + kNormMessage);
}

std::uint64_t context_bytes(int members, std::int64_t layers, std::int64_t row_bytes,
                            bool recompute) {
  const std::int64_t exchanges = layers * (recompute ? 4 : 3);
  return static_cast<std::uint64_t>(exchanges * (members - 1) * row_bytes);
}

std::uint64_t shared_layer_bytes(int members, std::int64_t layers, std::uint64_t share_bytes,
                                 std::int64_t passes) {
  const std::int64_t gathers = passes * std::max<std::int64_t>(2 * layers - 4, 0);
  return static_cast<std::uint64_t>(gathers) * static_cast<std::uint64_t>(members - 1) *
         share_bytes;
}

double hiding_tokens(const Cluster& cluster, int gpus) {
  const double world = gpus;
  const double rate = gpus <= cluster.gpus_per_node ? cluster.link : cluster.network;
  return (world - 1) / world * 2 / rate / (2 / cluster.flops);
}

double all_reduce_seconds(const Cluster& cluster, int gpus, double bytes) {
  if (gpus == 1) {
    return 0;
  }
  const bool one_node = gpus <= cluster.gpus_per_node;
  const double rate = one_node ? cluster.link : cluster.network;
  const double hop = one_node ? cluster.link_latency : cluster.network_latency;
  const double world = gpus;
  const double ring = 2 * (world - 1) / world * bytes / rate + 2 * (world - 1) * hop;
  const double tree = 2 * bytes / rate + 2 * std::log2(world) * hop;
  return std::min(ring, tree);
}

StepTime step_time(const Cluster& cluster, int gpus, double flops, double gradient_bytes) {
  StepTime time;
  time.compute = flops / cluster.flops;
  if (gpus > 1) {
    const double hop =
        gpus <= cluster.gpus_per_node ? cluster.link_latency : cluster.network_latency;
    time.communication = all_reduce_seconds(cluster, gpus, gradient_bytes) +
                         kMessages * std::log2(static_cast<double>(gpus)) * hop;
  }
  return time;
}

std::string scaling_markdown() {
  return "# Scaling: a model of a step's time\n\n"
         "Computed, not measured on a cluster: `distributed/scaling.cpp` makes this page, and a "
         "test "
         "compares the two. What it rests on and can be measured without one, the bytes that a "
         "rank "
         "sends in a step, is held against a real run of two, three and four ranks, to the byte "
         "(`ScalingRun` in `tests/program/ranks_test.cpp`).\n\n"
         "A step computes 4 FLOPs for each base weight and token (a frozen base has no weight "
         "gradients) and adds up the adapter's gradients, 4 bytes each, once. Rank r of W sends "
         "its "
         "share of the other ranks' slices and its own slice to all, 2 (W - 1) / W of the buffer, "
         "and less than 100 bytes to each rank about the batch, the losses and the norm.\n\n"
         "Assumed, for an H100: 400 TFLOP/s reached, 450 GB/s and 3 µs a hop within a node of "
         "eight, 50 GB/s and 10 µs a hop between nodes; LoRA of rank 32 on all projections; "
         "nothing "
         "hidden behind the backward pass. Each cell: computing + communicating, and the latter's "
         "share of the step.\n\n"
         "## 65,536 tokens a GPU and step\n\n" +
         table(65536) + "\n## 8,192 tokens a GPU and step\n\n" + table(8192) +
         "\nWith 65,536 tokens a GPU and step communication stays below 1% for every size and "
         "number: the adapter is a few hundredths of the base at most, and every token passes the "
         "whole base. With 8,192 it does within a node and not between nodes; there more "
         "`gradient_accumulation_steps` help as a faster network would.\n\n"
         "The share is also the most that hiding the all-reduce behind the last backward pass "
         "could "
         "save: under 1% in the first table, and in the second up to 7% of the smallest model's "
         "step and 1.6% of the largest's, between nodes alone. That is why gradients are added up "
         "in one call after the passes, and there is no setting to overlap them.\n" +
         sharing_section() + context_section() +
         "\nWhat the model leaves out: stragglers (a step is as slow as its slowest rank, and "
         "documents of different lengths make ranks differ), congestion, loading and saving. The "
         "small messages go over Gloo between all pairs of ranks, whose handling grows with W: at "
         "1,024 ranks each rank handles 1,023 of them, which takes milliseconds that are not in "
         "the table.\n";
}

}  // namespace weft::distributed
