#include "tests/program/program_testing.h"

#include <fstream>

#include "base/text.h"

namespace weft::test {

fs::path fixtures() { return fs::path(WEFT_SOURCE_DIR) / "tests/fixtures"; }
fs::path tiny_model() { return fixtures() / "model/tied_gqa1"; }
fs::path tiny_adapter() { return fixtures() / "lora/tied_gqa1"; }

std::vector<std::string> weft_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), WEFT_PROGRAM);
  return arguments;
}

ProcessResult weft(std::vector<std::string> arguments, const std::string& input) {
  return run_process(weft_command(std::move(arguments)), input);
}

ProcessResult weft_traced(const fs::path& trace, const std::string& call, const std::string& inject,
                          const std::vector<std::string>& arguments) {
  std::vector<std::string> command{"strace", "-f", "-qq", "-o", trace.string(), "-etrace=" + call};
  if (!inject.empty()) {
    command.push_back(fmt::format("-einject={}:{}", call, inject));
  }
  for (const std::string& word : weft_command(arguments)) {
    command.push_back(word);
  }
  return run_process(command);
}

std::vector<std::string> train_arguments(const fs::path& out,
                                         const std::vector<std::string>& more) {
  const fs::path folder = fixtures() / "lora/train_curve";
  std::vector<std::string> arguments{
      "train",
      (folder / "run.yaml").string(),
      "model_name_or_path=" + tiny_model().string(),
      "adapter_name_or_path=" + (folder / "initial").string(),
      fmt::format("datasets=[{{path: {}}}]", (folder / "rows.jsonl").string()),
      "output_dir=" + out.string(),
      "max_steps=2",
      "save_steps=1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void copy_folder(const fs::path& from, const fs::path& to) {
  fs::create_directories(to.parent_path());
  fs::copy(from, to, fs::copy_options::recursive);
}

std::string content(const fs::path& path) { return read_file(posix_file_system(), path); }

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> leftovers(const fs::path& folder) {
  std::vector<std::string> names;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp-") != std::string::npos) {
        names.push_back(entry.path().string());
      }
    }
  }
  return names;
}

void expect_refused(const ProcessResult& result, int exit_code,
                    const std::vector<std::string>& parts) {
  EXPECT_EQ(result.exit_code, exit_code) << "signal " << result.signal << "\n" << result.err;
  for (const std::string& part : parts) {
    EXPECT_THAT(result.err, ::testing::HasSubstr(part));
  }
  EXPECT_THAT(result.err, ::testing::Not(::testing::HasSubstr("Exception raised from")));
}

}  // namespace weft::test
