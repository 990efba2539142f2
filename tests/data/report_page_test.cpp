// The report's page as a browser sees it: headless Chromium, where it is installed.
#include <gmock/gmock.h>

#include <cstdlib>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/html_page.h"
#include "data/report.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tests/support/process.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// What a browser made of a page.
struct Rendering {
  std::string dom;
  std::vector<std::string> console;   ///< lines that the page caused, such as errors
  std::vector<std::string> requests;  ///< addresses on a network that the page asked for
  fs::path picture;
};

class ReportPageTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    if (test::run_process({"bash", "-c", "command -v chromium"}).exit_code != 0) {
      GTEST_SKIP() << "chromium is not installed";
    }
  }

  Rendering render(const fs::path& page, bool dark = false) {
    const fs::path net = folder_ / "net.json";
    Rendering made;
    made.picture = folder_ / (dark ? "dark.png" : "light.png");
    const auto result = run(page, dark, {"--log-net-log=" + net.string(), "--dump-dom"});
    made.dom = result.out;
    for (const std::string_view line : split(result.err, '\n')) {
      if (line.find("CONSOLE") != std::string_view::npos) {
        made.console.emplace_back(line);
      }
    }
    made.requests = requests_in(read_file(files_, net));
    (void)run(page, dark, {"--screenshot=" + made.picture.string(), "--window-size=1200,2200"});
    return made;
  }

 private:
  test::ProcessResult run(const fs::path& page, bool dark, const std::vector<std::string>& more) {
    std::vector<std::string> command{"chromium",
                                     "--headless",
                                     "--no-sandbox",
                                     "--disable-gpu",
                                     "--disable-dev-shm-usage",
                                     "--no-first-run",
                                     "--disable-background-networking",
                                     "--disable-extensions",
                                     "--host-resolver-rules=MAP * ~NOTFOUND",
                                     "--user-data-dir=" + (folder_ / "browser").string(),
                                     "--enable-logging=stderr",
                                     "--v=0",
                                     "--virtual-time-budget=2000"};
    if (dark) {
      command.emplace_back("--blink-settings=preferredColorScheme=0");
    }
    command.insert(command.end(), more.begin(), more.end());
    command.push_back("file://" + page.string());
    auto result = test::run_process(command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }

  /// Addresses in a browser's network log, without those that the browser itself asks for.
  static std::vector<std::string> requests_in(const std::string& log) {
    std::vector<std::string> found;
    const std::string key = "\"url\":\"http";
    for (std::size_t at = log.find(key); at != std::string::npos; at = log.find(key, at + 1)) {
      const std::size_t begin = at + 7;
      const std::string url = log.substr(begin, log.find('"', begin) - begin);
      if (url.find("google.com/") == std::string::npos &&
          url.find("googleapis.com/") == std::string::npos &&
          url.find("gvt1.com/") == std::string::npos) {
        found.push_back(url);
      }
    }
    return found;
  }
};

TEST_F(ReportPageTest, TheBrowsersComplaintsAndRequestsAreSeen) {
  // What the other test relies on: a page that does wrong is found out.
  const Rendering bad = render(put("bad.html",
                                   "<!doctype html><title>x</title><p>hi<script>throw 1</script>"
                                   "<img src=\"http://198.51.100.7/x.png\">"));
  EXPECT_THAT(bad.console, Not(IsEmpty()));
  EXPECT_THAT(bad.requests, Not(IsEmpty()));
}

TEST_F(ReportPageTest, ShowsTheFiguresOfTheReportAndAsksForNothing) {
  std::string rows;
  for (int i = 0; i < 2500; ++i) {
    rows +=
        fmt::format(R"({{"messages": [{{"role": "user", "content": "What is {} <b>and</b> {}?"}}, )"
                    R"({{"role": "assistant", "content": "{}"}}]}})"
                    "\n",
                    i, i * 7 % 1000, std::string(static_cast<std::size_t>(i * i % 300), 'y'));
  }
  rows += "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n";
  std::vector<TokenizeInput> inputs(2);
  inputs[0].path = put("chats <1>.jsonl", rows);
  inputs[1].path = put("notes.txt", "one\ntwo\x1b[31m\n\n\n" + std::string(400, 'x') + "\n");
  TokenizeOptions options;
  options.max_length = 380;
  options.overlong = Overlong::kTruncate;
  options.model = "models/a & b";
  (void)tokenize_to_shards(files_, inputs, ByteTokenizer(), options, folder_ / "shards");

  const Json report = read_json(files_, folder_ / "shards" / kReportName);
  const Rendering page = render(folder_ / "shards" / kReportPageName);
  EXPECT_THAT(page.console, IsEmpty());
  EXPECT_THAT(page.requests, IsEmpty());
  const auto shown = [&](const Json& number) {
    EXPECT_THAT(page.dom, HasSubstr(">" + grouped(number.get<std::int64_t>()) + "</td>")) << number;
  };
  EXPECT_THAT(page.dom, HasSubstr("<dd>" + grouped(report["documents"].get<std::int64_t>())));
  EXPECT_THAT(page.dom, HasSubstr("<dd>" + grouped(report["tokens"].get<std::int64_t>())));
  for (const Json& source : report["sources"]) {
    for (const char* key : {"rows", "documents", "tokens", "trained_tokens", "empty", "no_target",
                            "truncated", "split", "tokens_lost", "duplicates", "left_out"}) {
      shown(source[key]);
    }
    for (const Json& bar : source["lengths"]["histogram"]) {
      shown(bar["documents"]);
    }
    for (const Json& documents : source["trained_share"]["histogram"]) {
      shown(documents);
    }
  }
  for (const Json& warning : report["warnings"]) {
    const std::string text = warning.get<std::string>();
    EXPECT_THAT(page.dom, HasSubstr(text.substr(text.find("jsonl") + 5, 20)));
  }
  EXPECT_THAT(page.dom, HasSubstr("chats &lt;1&gt;.jsonl"));
  EXPECT_THAT(page.dom, HasSubstr("class=\"target\""));
  EXPECT_THAT(page.dom, Not(HasSubstr("<b>and</b>")));
  EXPECT_THAT(page.dom, HasSubstr("wo\\x1b[31m</span>"));
  EXPECT_GT(fs::file_size(page.picture), 20'000u);
  // Light and dark differ.
  const Rendering dark = render(folder_ / "shards" / kReportPageName, true);
  EXPECT_NE(sha256_file(files_, page.picture), sha256_file(files_, dark.picture));
  if (const char* keep = std::getenv("WEFT_KEEP_PICTURES")) {  // to look at
    fs::copy(page.picture, fs::path(keep) / "light.png", fs::copy_options::overwrite_existing);
    fs::copy(dark.picture, fs::path(keep) / "dark.png", fs::copy_options::overwrite_existing);
  }
}

}  // namespace
}  // namespace weft::data
