#include "data/file_patterns.h"

#include <fnmatch.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "data/cerebras.h"
#include "data/megatron.h"
#include "data/reader.h"

namespace weft::data {

namespace {

constexpr int kMaxDepth = 32;

class Finder {
 public:
  Finder(FileSystem& files, const fs::path& path) : files_(files), path_(path) {
    for (const fs::path& part : path) {
      parts_.push_back(part.string());
    }
  }

  /// Every file in `folder` and below it.
  void add_folder(const fs::path& folder, int depth = 0) {
    for_each_entry(folder, depth, [&](const std::string& name) {
      if (name.front() == '.') {
        return;
      }
      const fs::path entry = folder / name;
      if (files_.is_folder(entry)) {
        add_folder(entry, depth + 1);
      } else {
        found_.push_back(entry);
      }
    });
  }

  /// What the parts of the pattern from `part` on mean in `folder`.
  void add_matches(const fs::path& folder, std::size_t part = 0, int depth = 0) {
    if (part == parts_.size()) {
      return;
    }
    const std::string& pattern = parts_[part];
    if (pattern == "**") {
      add_deep_matches(folder, part, depth);
      return;
    }
    if (!is_file_pattern(pattern)) {
      add_entry(folder / pattern, part, depth);
      return;
    }
    for_each_entry(folder, depth, [&](const std::string& name) {
      if (fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0) {
        add_entry(folder / name, part, depth);
      }
    });
  }

  std::vector<fs::path> take() {
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return std::move(found_);
  }

 private:
  template <typename Visit>
  void for_each_entry(const fs::path& folder, int depth, Visit&& visit) {
    if (depth > kMaxDepth) {
      fail_data("dataset {}: {} is more than {} folders deep; does a link lead back up?",
                path_.string(), folder.string(), kMaxDepth);
    }
    const fs::path place = folder.empty() ? fs::path(".") : folder;
    if (!files_.is_folder(place)) {
      return;
    }
    for (const std::string& name : files_.list(place)) {
      visit(name);
    }
  }

  /// An entry that the pattern's part number `part` names.
  void add_entry(const fs::path& entry, std::size_t part, int depth) {
    if (!files_.exists(entry)) {
      return;
    }
    if (part + 1 < parts_.size()) {
      add_matches(entry, part + 1, depth + 1);
    } else if (!files_.is_folder(entry)) {
      found_.push_back(entry);
    }
  }

  void add_deep_matches(const fs::path& folder, std::size_t part, int depth) {
    if (part + 1 == parts_.size()) {
      add_folder(folder.empty() ? fs::path(".") : folder, depth);
      return;
    }
    add_matches(folder, part + 1, depth);
    for_each_entry(folder, depth, [&](const std::string& name) {
      if (name.front() != '.' && files_.is_folder(folder / name)) {
        add_deep_matches(folder / name, part, depth + 1);
      }
    });
  }

  FileSystem& files_;
  fs::path path_;
  std::vector<std::string> parts_;
  std::vector<fs::path> found_;
};

/// Leaves out what is read together with another of the files.
void leave_out_companions(FileSystem& files, std::vector<fs::path>& found) {
  std::vector<fs::path> companions;
  for (const fs::path& path : found) {
    const std::vector<fs::path> some = companion_files(files, path);
    companions.insert(companions.end(), some.begin(), some.end());
  }
  std::sort(companions.begin(), companions.end());
  std::erase_if(found, [&](const fs::path& path) {
    return std::binary_search(companions.begin(), companions.end(), path);
  });
}

}  // namespace

std::vector<fs::path> companion_files(FileSystem& files, const fs::path& path) {
  std::vector<fs::path> found;
  const auto add = [&](const fs::path& other) {
    if (files.exists(other)) {
      found.push_back(other);
    }
  };
  if (path.extension() == ".idx") {
    add(megatron_paths(path).bin);
    const MegatronPaths masks = megatron_mask_paths(path);
    add(masks.bin);
    add(masks.idx);
  } else if (file_syntax(path) == FileSyntax::kHdf5) {
    add(path.parent_path() / kCerebrasParameters);
  }
  return found;
}

bool is_file_pattern(const fs::path& path) {
  return path.string().find_first_of("*?[") != std::string::npos;
}

std::vector<fs::path> find_input_files(FileSystem& files, const fs::path& path) {
  Finder finder(files, path);
  std::vector<fs::path> found;
  if (files.exists(path)) {
    if (!files.is_folder(path)) {
      return {path};
    }
    finder.add_folder(path);
    found = finder.take();
    if (found.empty()) {
      fail_data("dataset {}: the folder and the folders in it hold no files", path.string());
    }
  } else if (is_file_pattern(path)) {
    finder.add_matches({});
    found = finder.take();
    if (found.empty()) {
      fail_data("dataset {}: no file has such a name", path.string());
    }
  } else {
    fail_data("dataset {}: no such file or folder", path.string());
  }
  leave_out_companions(files, found);
  return found;
}

}  // namespace weft::data
