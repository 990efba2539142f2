// How fast a run's loader gives packed, shuffled batches from uncompressed and from gzip shards,
// and how fast shards are written. Prints one JSON object.
//
//   weft_bench_loader [--tokens N] [--rounds N] [--folder DIR]

#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "data/loader.h"
#include "data/manifest.h"
#include "data/shard_writer.h"

namespace {

using namespace weft;

constexpr std::int64_t kVocab = 151'936;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of all threads of this process on a processor: what other programs do beside it counts
/// less.
double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Rate {
  double by_clock = 0;  ///< tokens per second
  double by_cpu = 0;    ///< tokens per second of processor time
};

/// A corpus's lengths: log-normal around `median`.
struct Corpus {
  const char* name;
  double median;
  double spread;
  std::int64_t longest;
  std::int64_t max_length;
};

// The first has the lengths of GSM8K as chats.
constexpr Corpus kCorpora[] = {{"short documents", 190, 0.36, 700, 4096},
                               {"long documents", 6000, 0.8, 32'768, 32'768}};

// Ids as frequent as words are: the k-th most frequent with a probability near 1/k.
data::Document make_document(const Corpus& corpus, Random& random) {
  const double length = corpus.median * std::exp(corpus.spread * random.normal());
  data::Document document;
  document.ids.resize(static_cast<std::size_t>(
      std::clamp<std::int64_t>(static_cast<std::int64_t>(length), 2, corpus.longest)));
  document.mask.assign(document.ids.size(), 1);
  std::fill_n(document.mask.begin(), document.ids.size() / 2, std::uint8_t{0});
  document.mask[0] = 0;
  for (std::int32_t& id : document.ids) {
    id = static_cast<std::int32_t>(std::pow(double{kVocab}, random.uniform())) - 1;
  }
  return document;
}

/// Writes about `tokens` tokens of shards; counts the writer alone.
Rate write_corpus(const Corpus& corpus, std::int64_t tokens, bool compress,
                  const fs::path& folder) {
  FileSystem& files = posix_file_system();
  PublishedFolder published(files, folder);
  data::Manifest manifest;
  manifest.identity = {.tokenizer_sha256 = std::string(64, 'a'),
                       .vocab_size = kVocab,
                       .fingerprint = std::string(64, 'b')};
  data::ShardWriter writer(files, published.path(), manifest.identity, {.compress = compress});
  Random random(1);
  std::int64_t written = 0;
  double seconds = 0;
  double cpu = 0;
  const auto timed = [&](auto&& call) {
    const double began = now();
    const double cpu_began = cpu_seconds();
    call();
    seconds += now() - began;
    cpu += cpu_seconds() - cpu_began;
  };
  std::vector<data::Document> documents;  // many, for one look at the clock
  while (written < tokens) {
    documents.clear();
    for (std::int64_t some = 0; some < 1'000'000; some += documents.back().size()) {
      documents.push_back(make_document(corpus, random));
      written += documents.back().size();
    }
    timed([&] {
      std::for_each(documents.begin(), documents.end(),
                    [&](const auto& document) { writer.add(document); });
    });
  }
  timed([&] {
    manifest.shards = writer.finish();
    data::write_manifest(files, published.path(), manifest);
    published.commit();
  });
  return {static_cast<double>(written) / seconds, static_cast<double>(written) / cpu};
}

/// Over two epochs of a loader made anew, the planning included.
Rate read_rate(const std::shared_ptr<const data::ShardSet>& set, const Corpus& corpus) {
  const double began = now();
  const double cpu_began = cpu_seconds();
  data::Loader loader({set}, {.max_length = corpus.max_length, .batch_size = 2, .seed = 3});
  std::int64_t tokens = 0;
  while (loader.state().epoch < 2) {
    tokens += std::ssize(loader.next().tokens);
  }
  return {static_cast<double>(tokens) / (now() - began),
          static_cast<double>(tokens) / (cpu_seconds() - cpu_began)};
}

Json measure(const Corpus& corpus, std::int64_t tokens, bool compress, int rounds,
             const fs::path& folder) {
  const fs::path path = folder / (compress ? "gzip" : "plain");
  fs::remove_all(path);
  const Rate writing = write_corpus(corpus, tokens, compress, path);
  const auto set = std::make_shared<data::ShardSet>(posix_file_system(), path);
  std::vector<Rate> rates;
  for (int i = 0; i < rounds; ++i) {
    rates.push_back(read_rate(set, corpus));
  }
  std::sort(rates.begin(), rates.end(),
            [](const Rate& a, const Rate& b) { return a.by_clock < b.by_clock; });
  const Rate median = rates[rates.size() / 2];
  std::int64_t bytes = 0;
  for (const data::ShardEntry& shard : set->manifest().shards) {
    bytes += shard.bytes;
  }
  const std::int64_t written = set->manifest().totals().tokens;
  fs::remove_all(path);
  return {{"corpus", corpus.name},
          {"shards", compress ? "gzip" : "uncompressed"},
          {"documents", set->documents()},
          {"tokens", written},
          {"bytes_per_token", static_cast<double>(bytes) / static_cast<double>(written)},
          {"read_tokens_per_second", median.by_clock},
          {"read_tokens_per_second_worst", rates.front().by_clock},
          {"read_tokens_per_cpu_second", median.by_cpu},
          {"write_tokens_per_second", writing.by_clock},
          {"write_tokens_per_cpu_second", writing.by_cpu}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times reading and writing token shards.");
  std::int64_t tokens = 40'000'000;
  int rounds = 3;
  std::string folder =
      (fs::temp_directory_path() / "weft-bench-loader").string() + std::to_string(::getpid());
  app.add_option("--tokens", tokens, "tokens of each corpus");
  app.add_option("--rounds", rounds, "rounds of two epochs; the median is reported");
  app.add_option("--folder", folder, "where shards are written for the time being");
  CLI11_PARSE(app, argc, argv);
  Json results = Json::array();
  for (const Corpus& corpus : kCorpora) {
    for (const bool compress : {false, true}) {
      results.push_back(measure(corpus, tokens, compress, rounds, folder));
      std::fprintf(stderr, "%s\n", results.back().dump().c_str());
    }
  }
  fs::remove_all(folder);
  std::printf("%s\n",
              Json{{"tokens", tokens}, {"rounds", rounds}, {"results", results}}.dump(2).c_str());
  return 0;
}
