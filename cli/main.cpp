#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/common.h"
#include "cli/env_command.h"
#include "cli/estimate_command.h"
#include "cli/eval_command.h"
#include "cli/export_command.h"
#include "cli/generate_command.h"
#include "cli/init_command.h"
#include "cli/inspect_command.h"
#include "cli/merge_command.h"
#include "cli/score_command.h"
#include "cli/tokenize_command.h"
#include "cli/tokenizer_command.h"
#include "cli/train_command.h"

namespace {

// One line for people, whatever went wrong; the exit code is for scripts (base/error.h).
int report(const char* what, weft::ErrorKind kind) {
  weft::log_line(weft::LogLevel::kError, what);
  return static_cast<int>(kind);
}

void add_commands(CLI::App& app) {
  weft::cli::add_tokenize_command(app);
  weft::cli::add_inspect_command(app);
  weft::cli::add_estimate_command(app);
  weft::cli::add_train_command(app);
  weft::cli::add_eval_command(app);
  weft::cli::add_score_command(app);
  weft::cli::add_generate_command(app);
  weft::cli::add_merge_command(app);
  weft::cli::add_export_command(app);
  weft::cli::add_init_command(app);
  weft::cli::add_tokenizer_command(app);
  weft::cli::add_env_command(app);
}

// CLI11 would only say that a subcommand is required.
void check_verb(const CLI::App& app, int argc, char** argv) {
  const std::string given = argc > 1 ? argv[1] : "-";
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    verbs.push_back(verb->get_name());
  }
  if (given.starts_with('-') || std::find(verbs.begin(), verbs.end(), given) != verbs.end()) {
    return;
  }
  const std::string nearest = weft::nearest_name(given, verbs);
  weft::fail_config("there is no verb '{}'; {}", weft::printable(given),
                    nearest.empty() ? "the verbs are " + weft::join(verbs, ", ")
                                    : fmt::format("did you mean {}?", nearest));
}

int run(int argc, char** argv) {
  CLI::App app("weft fine-tunes Qwen3 models with LoRA.", "weft");
  app.set_version_flag("--version", "weft " WEFT_VERSION);
  app.require_subcommand(1);
  add_commands(app);
  check_verb(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(weft::ErrorKind::kConfig);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A closed pipe and a file-size limit are errors of the write, with a message, and not the end of
  // the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const weft::Error& error) {
    return report(error.what(), error.kind());
  } catch (const std::bad_alloc&) {
    return report("out of memory: use a smaller max_length or per_device_train_batch_size",
                  weft::ErrorKind::kOutOfMemory);
  } catch (const std::exception& error) {
    return report(weft::cli::first_line(error).c_str(), weft::cli::kind_of(error));
  }
}
