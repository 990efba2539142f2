#include "trainer/remembered_choices.h"

#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sha256.h"

namespace weft::trainer {
namespace {

fs::path absolute_variable(const char* name) {
  const char* const value = std::getenv(name);
  const fs::path path = value == nullptr ? "" : value;
  return path.is_absolute() ? path : fs::path();
}

}  // namespace

fs::path RememberedChoices::default_folder() {
  fs::path cache = absolute_variable("XDG_CACHE_HOME");
  if (const fs::path home = absolute_variable("HOME"); cache.empty() && !home.empty()) {
    cache = home / ".cache";
  }
  return cache.empty() ? cache : cache / "weft" / "choices";
}

fs::path RememberedChoices::file_of(const std::string& key) const {
  constexpr std::size_t kDigits = 16;
  return folder_ / (sha256_hex(key).substr(0, kDigits) + ".json");
}

std::optional<std::string> RememberedChoices::find(const std::string& key) const {
  const fs::path file = file_of(key);
  try {
    if (folder_.empty() || !files_.exists(file)) {
      return std::nullopt;
    }
    const Json found = read_json(files_, file);
    const std::string name = file.string();
    return json_string(found, "of", name) == key
               ? std::optional<std::string>(json_string(found, "choice", name))
               : std::nullopt;
  } catch (const Error& error) {
    log_debug("what was remembered is lost: {}", error.what());
    return std::nullopt;
  }
}

void RememberedChoices::remember(const std::string& key, const std::string& choice) {
  if (folder_.empty() || find(key)) {
    return;
  }
  try {
    files_.make_folders(folder_);
    remove_stale_temporaries(files_, folder_);
    publish_file(files_, file_of(key),
                 dump_json_pretty(Json{{"of", key}, {"choice", choice}}) + "\n");
  } catch (const Error& error) {
    log_debug("{} is not remembered: {}", key, error.what());
  }
}

}  // namespace weft::trainer
