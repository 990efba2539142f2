#include "cli/common.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

namespace weft::cli {

std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

ErrorKind kind_of(const std::exception& error) {
  const std::string text = error.what();
  const bool memory = text.find("out of memory") != std::string::npos ||
                      text.find("can't allocate memory") != std::string::npos ||
                      text.find("not enough memory") != std::string::npos;
  return memory ? ErrorKind::kOutOfMemory : ErrorKind::kInternal;
}

void for_each_json_line(const std::function<void(Json, const std::string&)>& body) {
  std::string line;
  std::int64_t number = 0;
  while (std::getline(std::cin, line)) {
    const std::string where = fmt::format("standard input:{}", ++number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    Json row = parse_json(line, where);
    if (!row.is_object()) {
      fail_data("{}: is not a JSON object; expected one a line", where);
    }
    body(std::move(row), where);
  }
}

void print_json_line(const Json& json) {
  const std::string text = dump_json(json) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    fail_data("standard output can't be written: {}", std::strerror(errno));
  }
}

void flush_output() {
  if (std::fflush(stdout) != 0) {
    fail_data("standard output can't be written: {}", std::strerror(errno));
  }
}

}  // namespace weft::cli
