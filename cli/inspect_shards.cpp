#include "cli/inspect_shards.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/common.h"
#include "data/document_view.h"
#include "data/html_page.h"
#include "data/report.h"
#include "data/shard_set.h"
#include "data/tokenizer.h"
#include "trainer/base_model.h"

namespace weft::cli {
namespace {

constexpr std::size_t kBarWidth = 40;

data::ViewStyle view_style() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool plain = ::isatty(STDOUT_FILENO) == 0 || (no_color != nullptr && *no_color != '\0') ||
                     (term != nullptr && std::string_view(term) == "dumb");
  return plain ? data::ViewStyle::kMarkers : data::ViewStyle::kColor;
}

// The set, the tokenizer that made it where one is known, and what is asked for.
class ShardInspection {
 public:
  ShardInspection(FileSystem& files, const InspectOptions& options)
      : files_(files),
        options_(options),
        set_(files.is_folder(options.path)
                 ? data::ShardSet(files, options.path, {"", options.verify})
                 : data::ShardSet::of_file(files, options.path, {"", options.verify})) {
    find_tokenizer();
  }

  void run() {
    if (options_.wants_documents()) {
      show_documents();
    } else if (!options_.html.empty()) {
      publish_file(files_, options_.html, data::report_html(report()));
      log_info("wrote {}", options_.html);
    } else if (options_.json) {
      Json json = data::report_json(report());
      json["verified"] = options_.verify;
      print_json_line(json);
    } else {
      print_statistics();
    }
    flush_output();
  }

 private:
  // A tokenizer is asked for with --model, or named by the report beside the shards; the latter may
  // have moved, which matters only where texts are shown.
  void find_tokenizer() {
    const fs::path folder = files_.is_folder(options_.path) ? fs::path(options_.path)
                                                            : fs::path(options_.path).parent_path();
    model_ = options_.model.empty() ? data::reported_model(files_, folder) : options_.model;
    if (model_.empty() || (options_.model.empty() && !files_.exists(model_))) {
      return;
    }
    tokenizer_ = trainer::load_model_tokenizer(files_, model_);
    const std::string& made_with = set_.manifest().identity.tokenizer_sha256;
    if (tokenizer_->sha256() != made_with) {
      fail_data(
          "{}: the tokenizer of {} is {}…, the shards were made with {}…; give the model that they "
          "were made with as --model",
          options_.path, model_, tokenizer_->sha256().substr(0, 12), made_with.substr(0, 12));
    }
  }

  const data::Tokenizer& tokenizer() const {
    if (tokenizer_ == nullptr) {
      fail_config(
          "{}: its tokenizer is {}; give the folder of the model that it was made with as --model",
          options_.path, model_.empty() ? "not recorded" : "no longer at " + model_);
    }
    return *tokenizer_;
  }

  data::Report report() const {
    if (tokenizer_ != nullptr) {
      return data::make_report(set_, *tokenizer_, model_);
    }
    data::Report made{.model = model_,
                      .manifest = set_.manifest(),
                      .statistics = data::shard_statistics(set_),
                      .warnings = {},
                      .samples = {}};
    made.warnings = data::report_warnings(made.manifest.sources, made.statistics);
    return made;
  }

  std::string source_name(std::size_t source) const {
    const auto& sources = set_.manifest().sources;
    return source < sources.size() ? printable(sources[source].path) : std::string("?");
  }

  void print_statistics() const;
  [[nodiscard]] std::string preference(std::int64_t number) const;
  [[nodiscard]] std::string preferences_line() const;
  void show_documents() const;
  [[nodiscard]] std::optional<std::set<std::uint16_t>> wanted_sources() const;
  [[nodiscard]] std::vector<std::int64_t> candidates() const;
  [[nodiscard]] std::vector<std::int64_t> chosen() const;
  [[nodiscard]] std::vector<std::int64_t> found_by_text(
      const std::vector<std::int64_t>& numbers) const;
  [[nodiscard]] std::string title(std::int64_t number, const data::Document& document) const;

  FileSystem& files_;
  const InspectOptions& options_;
  data::ShardSet set_;
  std::string model_;
  std::unique_ptr<data::Tokenizer> tokenizer_;
};

// "bar │████  12".
std::string bar_line(std::string_view label, std::int64_t value, std::int64_t largest) {
  const auto width = static_cast<std::size_t>(
      largest == 0 ? 0 : value * static_cast<std::int64_t>(kBarWidth) / largest);
  std::string bar;
  for (std::size_t i = 0; i < std::max<std::size_t>(width, value > 0 ? 1 : 0); ++i) {
    bar += "█";
  }
  return fmt::format("  {:>15} {} {}\n", label, bar, value == 0 ? "" : data::grouped(value));
}

std::string histograms(const data::DocumentStatistics& statistics) {
  std::string text = "\ndocuments by length in tokens\n";
  const auto bars = statistics.length_histogram();
  std::int64_t largest = 0;
  for (const auto& bar : bars) {
    largest = std::max(largest, bar.documents);
  }
  for (const auto& bar : bars) {
    text += bar_line(fmt::format("{}-{}", bar.from, bar.to), bar.documents, largest);
  }
  text += "\ndocuments by share of tokens that are targets\n";
  largest = *std::max_element(statistics.trained_share.begin(), statistics.trained_share.end());
  for (std::size_t i = 0; i < statistics.trained_share.size(); ++i) {
    text +=
        bar_line(fmt::format("{}-{}%", 10 * i, 10 * (i + 1)), statistics.trained_share[i], largest);
  }
  return text;
}

std::string source_line(std::string_view name, const data::DocumentStatistics& statistics) {
  return fmt::format("{:>11} {:>13} {:>13} {:>6.1f}% {:>7} {:>7} {:>7} {:>7} {:>7}  {}\n",
                     data::grouped(statistics.counts.documents),
                     data::grouped(statistics.counts.tokens),
                     data::grouped(statistics.counts.trained_tokens),
                     100 * statistics.trained_fraction(), statistics.length_percentile(0),
                     statistics.length_percentile(50), statistics.length_percentile(90),
                     statistics.length_percentile(99), statistics.length_percentile(100), name);
}

// "pairs …", for shards that have what is preferred.
std::string ShardInspection::preferences_line() const {
  if (!set_.has_pairs() && !set_.has_labels()) {
    return {};
  }
  std::int64_t pairs = 0;
  std::int64_t good = 0;
  std::int64_t bad = 0;
  for (std::int64_t i = 0; i < set_.documents(); ++i) {
    pairs += set_.chosen(i) == i ? 1 : 0;
    good += set_.label(i) == data::Document::kDesirable ? 1 : 0;
    bad += set_.label(i) == data::Document::kUndesirable ? 1 : 0;
  }
  return fmt::format("\npreference pairs: {}; judged good: {}, bad: {}\n", pairs, good, bad);
}

void ShardInspection::print_statistics() const {
  const data::Report made = report();
  const data::Manifest& manifest = set_.manifest();
  const auto shards = std::ssize(manifest.shards);
  std::string text = fmt::format(
      "{}: {} shard{}{}\ntokenizer {}…, vocabulary {}{}\nfingerprint {}…\n\n", options_.path,
      shards, shards == 1 ? "" : "s",
      options_.verify ? ", every checksum and every value verified" : "",
      manifest.identity.tokenizer_sha256.substr(0, 12), data::grouped(manifest.identity.vocab_size),
      model_.empty() ? "" : ", of " + printable(model_),
      manifest.identity.fingerprint.substr(0, 12));
  text += fmt::format("{:>11} {:>13} {:>13} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}  dataset\n",
                      "documents", "tokens", "targets", "share", "min", "p50", "p90", "p99", "max");
  for (std::size_t i = 0; i < made.statistics.sources.size(); ++i) {
    text += source_line(source_name(i), made.statistics.sources[i]);
  }
  if (made.statistics.sources.size() > 1) {
    text += source_line("(all)", made.statistics.total);
  }
  text += preferences_line();
  text += histograms(made.statistics.total);
  std::fputs(text.c_str(), stdout);
  for (const std::string& warning : made.warnings) {
    log_warning("{}", warning);
  }
}

std::optional<std::set<std::uint16_t>> ShardInspection::wanted_sources() const {
  if (options_.source.empty()) {
    return std::nullopt;
  }
  const std::string& text = options_.source;
  std::uint16_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
    return std::set<std::uint16_t>{number};
  }
  std::set<std::uint16_t> found;
  const auto& sources = set_.manifest().sources;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].path.find(text) != std::string::npos) {
      found.insert(static_cast<std::uint16_t>(i));
    }
  }
  return found;
}

// The numbers of all documents of the sources that are wanted.
std::vector<std::int64_t> ShardInspection::candidates() const {
  const auto sources = wanted_sources();
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < set_.documents(); ++i) {
    if (!sources || sources->contains(set_.source(i))) {
      numbers.push_back(i);
    }
  }
  if (numbers.empty()) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < set_.manifest().sources.size(); ++i) {
      names.push_back(fmt::format("{} {}", i, source_name(i)));
    }
    fail_config("--source {}: no document is of it; the datasets are {}",
                printable(options_.source), join(names, ", "));
  }
  return numbers;
}

std::vector<std::int64_t> ShardInspection::found_by_text(
    const std::vector<std::int64_t>& numbers) const {
  std::vector<std::int64_t> found;
  ProgressLine progress("searching", numbers.size(), "documents");
  std::uint64_t searched = 0;
  for (const std::int64_t number : numbers) {
    const data::Document document = set_.document(number);
    if (tokenizer().decode(document.ids, false).find(options_.grep) != std::string::npos) {
      found.push_back(number);
      if (options_.random == 0 && std::ssize(found) == options_.limit) {
        break;
      }
    }
    progress.update(++searched);
  }
  progress.finish();
  if (found.empty()) {
    log_info("no document holds '{}'", printable(options_.grep));
  }
  return found;
}

std::vector<std::int64_t> ShardInspection::chosen() const {
  if (!options_.documents.empty()) {
    for (const std::int64_t number : options_.documents) {
      if (number < 0 || number >= set_.documents()) {
        fail_config("--document {}: {} has documents 0 to {}", number, options_.path,
                    set_.documents() - 1);
      }
    }
    return options_.documents;
  }
  std::vector<std::int64_t> numbers = candidates();
  if (!options_.grep.empty()) {
    numbers = found_by_text(numbers);
  }
  if (options_.random > 0) {
    Random random(static_cast<std::uint64_t>(options_.seed));
    random.shuffle(numbers);
    numbers.resize(
        static_cast<std::size_t>(std::min<std::int64_t>(options_.random, std::ssize(numbers))));
  }
  return numbers;
}

std::string ShardInspection::preference(std::int64_t number) const {
  const std::int64_t chosen = set_.chosen(number);
  if (chosen == number) {
    return fmt::format(", chosen over document {}", set_.rejected(number));
  }
  if (chosen >= 0) {
    return fmt::format(", rejected for document {}", chosen);
  }
  switch (set_.label(number)) {
    case data::Document::kDesirable:
      return ", judged good";
    case data::Document::kUndesirable:
      return ", judged bad";
    default:
      return {};
  }
}

std::string ShardInspection::title(std::int64_t number, const data::Document& document) const {
  return fmt::format("document {} (source {}, {}): {} tokens, {} of them targets{}", number,
                     document.source, source_name(document.source), document.size(),
                     document.trained_tokens(), preference(number));
}

void ShardInspection::show_documents() const {
  const data::Tokenizer* text =
      options_.json && tokenizer_ == nullptr ? nullptr : data::tokenizer_for_text(tokenizer());
  std::string page;
  for (const std::int64_t number : chosen()) {
    const data::Document document = set_.document(number);
    const auto pieces = data::view_document(document, text, {.each_token = options_.tokens});
    if (!options_.html.empty()) {
      page += fmt::format("<h2>{}</h2>\n<pre class=\"document\">{}</pre>\n",
                          data::escape_html(title(number, document)),
                          data::view_html(pieces, options_.tokens));
    } else if (options_.json) {
      Json json = {{"document", number},
                   {"source", document.source},
                   {"path", source_name(document.source)},
                   {"ids", document.ids},
                   {"mask", document.mask}};
      if (set_.has_pairs()) {
        json["chosen"] = set_.chosen(number);
        json["rejected"] = set_.rejected(number);
      }
      if (set_.has_labels()) {
        json["label"] = set_.label(number);
      }
      if (text != nullptr) {
        json["text"] = text->decode(document.ids, false);
      }
      print_json_line(json);
    } else {
      const std::string shown = fmt::format("── {}\n{}\n\n", title(number, document),
                                            data::view_text(pieces, view_style(), options_.tokens));
      std::fputs(shown.c_str(), stdout);
    }
  }
  if (!options_.html.empty()) {
    publish_file(files_, options_.html,
                 data::html_page("Documents",
                                 "<h1>Documents</h1>\n<p class=\"soft\">"
                                 "<span class=\"target\">Targets</span> are what "
                                 "training predicts; <span class=\"special\">control "
                                 "tokens</span> are shown by name.</p>\n" +
                                     page));
    log_info("wrote {}", options_.html);
  }
}

}  // namespace

void inspect_shards(FileSystem& files, const InspectOptions& options) {
  ShardInspection(files, options).run();
}

}  // namespace weft::cli
