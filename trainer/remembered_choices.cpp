#include "trainer/remembered_choices.h"

#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

namespace weft::trainer {
namespace {

fs::path absolute_variable(const char* name) {
  const char* const value = std::getenv(name);
  const fs::path path = value == nullptr ? "" : value;
  return path.is_absolute() ? path : fs::path();
}

Json read_choices(FileSystem& files, const fs::path& file) {
  try {
    if (files.exists(file)) {
      Json choices = read_json(files, file);
      if (choices.is_object()) {
        return choices;
      }
      log_debug("{}: is not a JSON object; what was remembered there is lost", file.string());
    }
  } catch (const Error& error) {
    log_debug("what was remembered is lost: {}", error.what());
  }
  return Json::object();
}

}  // namespace

fs::path RememberedChoices::default_file() {
  fs::path cache = absolute_variable("XDG_CACHE_HOME");
  if (const fs::path home = absolute_variable("HOME"); cache.empty() && !home.empty()) {
    cache = home / ".cache";
  }
  return cache.empty() ? cache : cache / "weft" / "choices.json";
}

std::optional<std::string> RememberedChoices::find(const std::string& key) const {
  if (file_.empty()) {
    return std::nullopt;
  }
  const Json choices = read_choices(files_, file_);
  const Json* const found = json_find(choices, key);
  return found != nullptr && found->is_string()
             ? std::optional<std::string>(found->get<std::string>())
             : std::nullopt;
}

void RememberedChoices::remember(const std::string& key, const std::string& choice) {
  if (file_.empty()) {
    return;
  }
  Json choices = read_choices(files_, file_);
  choices[key] = choice;
  try {
    files_.make_folders(file_.parent_path());
    publish_file(files_, file_, dump_json_pretty(choices) + "\n");
  } catch (const Error& error) {
    log_debug("{} is not remembered: {}", key, error.what());
  }
}

}  // namespace weft::trainer
