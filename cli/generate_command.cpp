#include "cli/generate_command.h"

#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/text.h"
#include "cli/chat_session.h"
#include "cli/common.h"
#include "cli/load_model.h"
#include "data/chat.h"
#include "model/generation_config.h"
#include "model/qwen3_model.h"
#include "trainer/generate.h"

namespace weft::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string prompt;
  bool chat = false;
  bool thinking = true;
  bool json = false;
  bool greedy = false;
  std::string system;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<std::int64_t> top_k;
  trainer::SamplingOptions sampling;
};

// Flags win over the model's generation_config.json, which wins over greedy decoding.
trainer::SamplingOptions resolve_sampling(const Options& options, const LoadedModel& loaded) {
  const model::GenerationConfig makers = model::read_generation_config(
      posix_file_system(), options.model.model, loaded.model->config());
  trainer::SamplingOptions sampling = options.sampling;
  const bool sample =
      !options.greedy && (options.temperature.has_value() || makers.do_sample.value_or(false));
  sampling.temperature =
      sample ? options.temperature.value_or(makers.temperature.value_or(1.0)) : 0.0;
  sampling.top_p = options.top_p.value_or(makers.top_p.value_or(1.0));
  sampling.min_p = options.min_p.value_or(makers.min_p.value_or(0.0));
  sampling.top_k = options.top_k.value_or(makers.top_k.value_or(0));
  sampling.stop_ids.assign(makers.eos_token_ids.begin(), makers.eos_token_ids.end());
  for (const char* name : {"<|im_end|>", "<|endoftext|>"}) {
    if (const auto id = loaded.tokenizer->token_id(name)) {
      sampling.stop_ids.push_back(*id);
    }
  }
  return sampling;
}

void report_speed(const trainer::Generation& generation) {
  const auto count = static_cast<double>(generation.ids.size());
  log_info("{} tokens, {:.1f} tokens/s (prompt in {:.2f} s){}", generation.ids.size(),
           count / std::max(generation.seconds, 1e-9), generation.prompt_seconds,
           generation.end == trainer::GenerationEnd::kStopToken ? "" : "; stopped by length");
}

void complete(const Options& options, const LoadedModel& loaded,
              const trainer::SamplingOptions& sampling) {
  const data::Tokenizer& tokenizer = *loaded.tokenizer;
  std::vector<std::int32_t> ids;
  tokenizer.encode(options.prompt, data::SpecialTokens::kParse, ids);
  TokenPrinter printer(tokenizer, /*live=*/true);
  const trainer::Generation result =
      trainer::generate(*loaded.model, ids, sampling, [&](std::int32_t id) { printer.add(id); });
  printer.finish();
  report_speed(result);
}

void chat(const Options& options, const LoadedModel& loaded,
          const trainer::SamplingOptions& sampling) {
  ChatSession session(loaded, sampling, options.thinking);
  if (!options.system.empty()) {
    session.set_system(options.system);
  }
  if (!options.prompt.empty()) {
    session.answer(options.prompt, /*live=*/true);
    report_speed(session.last());
    return;
  }
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) {
    log_info("chat: one message a line; an empty line or Ctrl-D ends it");
  }
  std::string line;
  while ((terminal && std::cout << "> " << std::flush),
         std::getline(std::cin, line) && !line.empty()) {
    session.answer(line, /*live=*/true);
    report_speed(session.last());
  }
}

// JSON lines in, each {"prompt"}, {"messages"} or {"ids"}; {"text", "ids"} out.
void generate_lines(const Options& options, const LoadedModel& loaded,
                    const trainer::SamplingOptions& sampling) {
  for_each_json_line([&](Json row, const std::string& where) {
    std::vector<std::int32_t> ids;
    if (row.contains("ids")) {
      for (const std::int64_t id : json_ints(row, "ids", where)) {
        if (id < 0 || id >= loaded.model->config().vocab_size) {
          fail_data("{}: id {} is outside the model's vocabulary of {}", where, id,
                    loaded.model->config().vocab_size);
        }
        ids.push_back(static_cast<std::int32_t>(id));
      }
    } else if (row.contains("messages")) {
      row["add_generation_prompt"] = true;
      if (!options.thinking) {
        row["enable_thinking"] = false;
      }
      ids = data::render_chat(*loaded.tokenizer, row, loaded.chat, where).ids;
    } else {
      loaded.tokenizer->encode(json_string(row, "prompt", where), data::SpecialTokens::kParse, ids);
    }
    const trainer::Generation result = trainer::generate(*loaded.model, ids, sampling);
    Json out{{"ids", result.ids}};
    if (loaded.tokenizer->token_id("<|im_end|>") || !row.contains("ids")) {
      out["text"] =
          data::replace_invalid_utf8(loaded.tokenizer->decode(result.ids, /*skip_special=*/true));
    }
    print_json_line(out);
    flush_output();
  });
}

void generate(const Options& options) {
  const LoadedModel loaded = load_model(posix_file_system(), options.model);
  const trainer::SamplingOptions sampling = resolve_sampling(options, loaded);
  if (options.json) {
    generate_lines(options, loaded, sampling);
  } else if (options.chat || options.prompt.empty()) {
    chat(options, loaded, sampling);
  } else {
    complete(options, loaded, sampling);
  }
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "generate", "Text from a prompt, or a chat in the terminal (without --prompt)");
  options->model.add_to(*command);
  command->add_option("--prompt", options->prompt, "Continue this text; with --chat: answer it");
  command->add_flag("--chat", options->chat, "Use Qwen3's chat format");
  command->add_flag("--thinking,!--no-thinking", options->thinking,
                    "In chat: let the model think first (default)");
  command->add_option("--system", options->system, "In chat: the system message");
  command->add_flag("--json", options->json,
                    "JSON lines in ({\"prompt\"}, {\"messages\"} or {\"ids\"}) and out");
  command->add_flag("--greedy", options->greedy, "Always the most probable token");
  command->add_option("--temperature", options->temperature, "0: greedy")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-k", options->top_k, "0: all")->check(CLI::Range(0, 1 << 24));
  command->add_option("--top-p", options->top_p, "1: all")->check(CLI::Range(0.0, 1.0));
  command->add_option("--min-p", options->min_p, "0: all")->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-new-tokens", options->sampling.max_new_tokens, "At most this many")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--seed", options->sampling.seed, "Of the sampling");
  command->callback([options] { generate(*options); });
}

}  // namespace weft::cli
