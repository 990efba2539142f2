#include "cli/score_command.h"

#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/common.h"
#include "cli/load_model.h"
#include "data/chat.h"
#include "model/qwen3_model.h"
#include "trainer/score.h"

namespace weft::cli {
namespace {

struct Options {
  ModelOptions model;
  std::int64_t top_k = 0;
  std::int64_t batch_tokens = 2048;
};

std::vector<std::int32_t> ids_of(const Json& row, const std::string& where,
                                 const LoadedModel& loaded) {
  std::vector<std::int32_t> ids;
  const int given =
      int{row.contains("ids")} + int{row.contains("text")} + int{row.contains("messages")};
  if (given != 1) {
    fail_data("{}: expected exactly one of 'ids', 'text' and 'messages'", where);
  }
  if (row.contains("ids")) {
    const std::int64_t vocabulary = loaded.model->config().vocab_size;
    for (const std::int64_t id : json_ints(row, "ids", where)) {
      if (id < 0 || id >= vocabulary) {
        fail_data("{}: id {} is outside the model's vocabulary of {}", where, id, vocabulary);
      }
      ids.push_back(static_cast<std::int32_t>(id));
    }
  } else if (row.contains("text")) {
    loaded.tokenizer->encode(json_string(row, "text", where), data::SpecialTokens::kPlain, ids);
  } else {
    ids = data::render_chat(*loaded.tokenizer, row, loaded.chat, where).ids;
  }
  if (static_cast<std::int64_t>(ids.size()) > loaded.model->config().max_position_embeddings) {
    fail_data("{}: {} tokens are more than the model's {} positions", where, ids.size(),
              loaded.model->config().max_position_embeddings);
  }
  return ids;
}

Json to_json(const std::vector<std::int32_t>& ids, const trainer::SequenceScore& score,
             std::int64_t top_k) {
  Json log_probs = Json::array();
  Json top = Json::array();
  if (!ids.empty()) {
    log_probs.push_back(nullptr);
    top.push_back(nullptr);
  }
  for (const double value : score.log_probs) {
    log_probs.push_back(value);
  }
  for (const trainer::Alternatives& alternatives : score.alternatives) {
    Json list = Json::array();
    for (const auto& [id, value] : alternatives) {
      list.push_back(Json{{"id", id}, {"logprob", static_cast<double>(value)}});
    }
    top.push_back(std::move(list));
  }
  Json json{{"ids", ids}, {"logprobs", std::move(log_probs)}};
  if (top_k > 0) {
    json["top"] = std::move(top);
  }
  return json;
}

void score(const Options& options) {
  const LoadedModel loaded = load_model(posix_file_system(), options.model);
  std::vector<std::vector<std::int32_t>> pending;
  std::int64_t tokens = 0;
  const auto run = [&] {
    const auto scores = trainer::score_sequences(*loaded.model, pending, options.top_k);
    for (std::size_t i = 0; i < pending.size(); ++i) {
      print_json_line(to_json(pending[i], scores[i], options.top_k));
    }
    flush_output();
    pending.clear();
    tokens = 0;
  };
  const auto add = [&](const Json& row, const std::string& where) {
    std::vector<std::int32_t> ids = ids_of(row, where, loaded);
    const auto length = static_cast<std::int64_t>(ids.size());
    if (!pending.empty() && tokens + length > options.batch_tokens) {
      run();
    }
    tokens += length;
    pending.push_back(std::move(ids));
  };
  try {
    for_each_json_line(add);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kData && !pending.empty()) {
      run();  // the answers to the rows before the bad one
    }
    throw;
  }
  run();
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "score", "JSON lines in ({\"ids\"}, {\"text\"} or {\"messages\"}), log-probabilities out");
  options->model.add_to(*command);
  command->add_option("--top-k", options->top_k, "Also the k most probable tokens at each position")
      ->check(CLI::Range(0, 1000));
  command->add_option("--batch-tokens", options->batch_tokens, "Tokens that run together")
      ->check(CLI::Range(1, 1 << 24));
  command->callback([options] { score(*options); });
}

}  // namespace weft::cli
