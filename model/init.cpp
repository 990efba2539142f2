#include "model/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/random.h"

namespace weft::model {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;  // elements that one thread fills at a time

/// FNV-1a: a fixed function of the name, so that a tensor's values depend on nothing else in the
/// model.
std::uint64_t stream_of(std::string_view tensor) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : tensor) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

/// Two normal numbers from two words (Box-Muller).
void normal_pair(std::uint32_t a, std::uint32_t b, float deviation, float* out) {
  const float u = (static_cast<float>(a >> 8) + 1.0f) * 0x1p-24f;  // (0, 1]
  const float angle = static_cast<float>(b >> 8) * (2.0f * std::numbers::pi_v<float> * 0x1p-24f);
  const float radius = deviation * std::sqrt(-2.0f * std::log(u));
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

/// Elements [first, first + values.size()) of a tensor, in the type they are stored in. Allocates
/// nothing: it runs on threads, which no exception may leave.
void fill_piece(std::span<float> values, std::span<std::byte> out, const TensorSpec& tensor,
                std::uint64_t first, std::uint64_t seed, double deviation) {
  if (is_norm_tensor(tensor.name)) {
    std::fill(values.begin(), values.end(), 1.0f);
  } else {
    fill_normal(values, seed, tensor.name, first, deviation);
  }
  convert_elements(DType::kFloat32, std::as_bytes(values), tensor.dtype, out);
}

/// Calls `work(i)` for i in [0, count), the first `threads` of them at once.
template <typename Work>
void parallel(std::size_t count, Work work) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < count; ++i) threads.emplace_back(work, i);
  if (count > 0) work(std::size_t{0});
}

std::size_t thread_count(int asked) {
  if (asked > 0) return static_cast<std::size_t>(asked);
  return std::max(1u, std::thread::hardware_concurrency());
}

void write_weights(FileSystem& files, const fs::path& folder, const Qwen3Config& config,
                   const InitOptions& options) {
  CheckpointWriter writer(files, folder, qwen3_tensors(config, config.dtype),
                          options.max_shard_bytes);
  const std::size_t width = dtype_bytes(config.dtype);
  const std::size_t threads = thread_count(options.threads);
  std::vector<float> values(threads * kPiece);
  std::vector<std::byte> buffer(threads * kPiece * width);
  ProgressLine progress("initialising", static_cast<std::uint64_t>(config.parameter_count()),
                        "parameters");
  std::uint64_t done = 0;
  for (const TensorSpec& tensor : writer.order()) {
    const std::uint64_t elements = element_count(tensor.shape, tensor.name);
    for (std::uint64_t first = 0; first < elements; first += threads * kPiece) {
      const auto n =
          static_cast<std::size_t>(std::min<std::uint64_t>(threads * kPiece, elements - first));
      parallel((n + kPiece - 1) / kPiece, [&](std::size_t i) {
        const std::size_t begin = i * kPiece;
        const std::size_t size = std::min(kPiece, n - begin);
        fill_piece(std::span(values).subspan(begin, size),
                   std::span(buffer).subspan(begin * width, size * width), tensor, first + begin,
                   options.seed, config.initializer_range);
      });
      writer.append(tensor.name, std::span(buffer).first(n * width));
      progress.update(done += n);
    }
  }
  writer.finish();
  progress.finish();
}

Json generation_json(const Qwen3Config& config) {
  Json eos = config.eos_token_ids;
  // The published files stop at <|endoftext|> as well.
  if (config.pad_token_id && config.eos_token_ids != std::vector{*config.pad_token_id}) {
    eos.push_back(*config.pad_token_id);
  }
  Json json = {{"do_sample", true}, {"eos_token_id", eos}};
  if (config.bos_token_id) json["bos_token_id"] = *config.bos_token_id;
  if (config.pad_token_id) json["pad_token_id"] = *config.pad_token_id;
  json["temperature"] = 0.6;
  json["top_k"] = 20;
  json["top_p"] = 0.95;
  json["transformers_version"] = "4.51.0";
  return json;
}

}  // namespace

void fill_normal(std::span<float> values, std::uint64_t seed, std::string_view tensor,
                 std::uint64_t first, double deviation) {
  if (first % 4 != 0) fail_internal("fill_normal begins at element {}", first);
  const std::uint64_t stream = stream_of(tensor);
  const auto scale = static_cast<float>(deviation);
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const auto words = philox4x32(seed, (first + i) / 4, stream);
    float four[4];
    normal_pair(words[0], words[1], scale, four);
    normal_pair(words[2], words[3], scale, four + 2);
    std::copy_n(four, std::min<std::size_t>(4, values.size() - i), values.begin() + i);
  }
}

void write_random_checkpoint(FileSystem& files, const fs::path& folder, const Qwen3Config& config,
                             const InitOptions& options) {
  write_synced(files, folder / "config.json",
               dump_json_pretty(qwen3_config_to_json(config), /*sort_keys=*/true) + "\n");
  if (!config.eos_token_ids.empty()) {
    write_synced(files, folder / "generation_config.json",
                 dump_json_pretty(generation_json(config), /*sort_keys=*/true) + "\n");
  }
  write_weights(files, folder, config, options);
}

}  // namespace weft::model
