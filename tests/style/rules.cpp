#include "rules.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace weft::style {
namespace {

constexpr int kMaxLines = 500;

// What each folder may include besides itself. The one list of the floors that a machine reads.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"kernels", {"base"}},
    {"data", {"base"}},
    {"model", {"base", "kernels", "data"}},
    {"adapters", {"base", "kernels", "data", "model"}},
    {"distributed", {"base", "kernels", "data", "model", "adapters"}},
    {"trainer", {"base", "kernels", "data", "model", "adapters", "distributed"}},
    {"cli", {"base", "kernels", "data", "model", "adapters", "distributed", "trainer"}},
};

const std::set<std::string> kTensorFolders = {"kernels", "model",      "adapters", "distributed",
                                              "trainer", "benchmarks", "tests",    "cmake"};

std::string at(const SourceFile& file, int line, const std::string& what) {
  return file.path.string() + ":" + std::to_string(line) + ": " + what;
}

bool is_torch(const std::string& include) {
  static const std::regex kTorch(R"(^(torch|ATen|c10|caffe2)/)");
  return std::regex_search(include, kTorch);
}

// Headers that pull in every operator: 14 to 27 seconds of compile time each.
bool is_torch_umbrella(const std::string& include) {
  static const std::set<std::string> kUmbrellas = {
      "torch/torch.h", "torch/all.h", "torch/extension.h", "torch/script.h",
      "torch/types.h", "ATen/ATen.h", "ATen/Functions.h"};
  return kUmbrellas.contains(include);
}

}  // namespace

std::vector<std::string> check_layers(const SourceFile& file) {
  std::vector<std::string> problems;
  const auto own = kMayInclude.find(file.folder());
  for (const Include& include : file.includes) {
    const auto slash = include.path.find('/');
    const std::string target = include.path.substr(0, slash);
    if (include.angled || slash == std::string::npos || target == file.folder()) {
      continue;
    }
    if (own == kMayInclude.end()) {
      continue;  // tests and benchmarks see every floor
    }
    if (target == "tests" || target == "benchmarks") {
      problems.push_back(at(file, include.line, "includes " + include.path + ", a test's file"));
    } else if (kMayInclude.contains(target) && !own->second.contains(target)) {
      problems.push_back(at(file, include.line,
                            "includes " + include.path + ", but " + target + "/ is not below " +
                                file.folder() + "/"));
    }
  }
  return problems;
}

std::vector<std::string> check_torch_includes(const SourceFile& file) {
  std::vector<std::string> problems;
  for (const Include& include : file.includes) {
    if (is_torch_umbrella(include.path)) {
      problems.push_back(at(file, include.line,
                            "includes " + include.path +
                                "; include <ATen/core/Tensor.h> and the "
                                "operators one by one, as <ATen/ops/mm.h>"));
    } else if (is_torch(include.path) && file.is_header() &&
               !kTensorFolders.contains(file.folder())) {
      problems.push_back(
          at(file, include.line, "a header of " + file.folder() + "/ includes " + include.path));
    }
  }
  return problems;
}

std::vector<std::string> check_text(const SourceFile& file) {
  std::vector<std::string> problems;
  // Spelt apart so that this file does not hold them.
  static const std::string kNotes[] = {std::string("TO") + "DO", std::string("FIX") + "ME"};
  std::istringstream in(file.text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const bool found = std::any_of(std::begin(kNotes), std::end(kNotes), [&](const auto& note) {
      return line.find(note) != std::string::npos;
    });
    if (found) {
      problems.push_back(at(file, number, "notes unfinished work: " + line));
    }
  }
  if (file.is_header() && file.text.find("#pragma once\n") == std::string::npos) {
    problems.push_back(at(file, 1, "a header without #pragma once"));
  }
  return problems;
}

std::vector<std::string> check_length(const SourceFile& file) {
  if (file.lines() <= kMaxLines) {
    return {};
  }
  return {at(file, file.lines(), "longer than " + std::to_string(kMaxLines) + " lines; split it")};
}

}  // namespace weft::style
