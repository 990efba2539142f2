#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "base/live_line.h"

namespace weft {
namespace {

class LiveLineSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    print_above_live_line(std::string_view(text.data(), text.size()));
  }
  void flush_() override {}
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view prefix(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug: ";
    case LogLevel::kInfo:
      return "";
    case LogLevel::kWarning:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
  }
  return "";
}

void read_level_from_environment(spdlog::logger& logger) {
  const char* const text = std::getenv("WEFT_LOG");
  if (text == nullptr || *text == '\0') {
    return;
  }
  const std::string_view word(text);
  if (word == "debug") {
    logger.set_level(spdlog::level::debug);
  } else if (word == "warning") {
    logger.set_level(spdlog::level::warn);
  } else if (word == "error") {
    logger.set_level(spdlog::level::err);
  } else if (word != "info") {
    logger.warn("warning: WEFT_LOG is \"{}\"; expected debug, info, warning or error", word);
  }
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("weft", std::make_shared<LiveLineSink>());
    made->set_pattern("%H:%M:%S %v");
    made->set_level(spdlog::level::info);
    read_level_from_environment(*made);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

void log_line(LogLevel level, std::string_view message) {
  logger().log(to_spdlog(level), "{}{}", prefix(level), message);
}

}  // namespace weft
