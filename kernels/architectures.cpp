#include "kernels/architectures.h"

#include <charconv>

#include "base/text.h"

namespace weft::kernels {

bool architectures_cover(std::string_view architectures, int capability) {
  for (const std::string_view name : split(architectures, ';')) {
    int number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool exact = end != name.data() + name.size();
    if (error == std::errc() &&
        (exact ? number == capability : number / 10 == capability / 10 && number <= capability)) {
      return true;
    }
  }
  return false;
}

}  // namespace weft::kernels
