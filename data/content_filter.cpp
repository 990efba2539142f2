#include "data/content_filter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "base/sha256.h"

namespace weft::data {

ContentHash content_hash(std::string_view canonical) {
  const std::string hex = sha256_hex(canonical);
  ContentHash hash{};
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const char* const begin = hex.data() + 16 * i;
    std::from_chars(begin, begin + 16, hash[i], 16);
  }
  return hash;
}

bool ContentSet::insert(const ContentHash& hash) {
  if (hash == ContentHash{}) {
    size_ += has_zero_ ? 0 : 1;
    return !std::exchange(has_zero_, true);
  }
  if (3 * (size_ + 1) > 2 * slots_.size()) {
    grow();
  }
  ContentHash& slot = slots_[find(hash)];
  if (slot == hash) {
    return false;
  }
  slot = hash;
  ++size_;
  return true;
}

/// The slot that holds `hash`, or the empty one where it belongs. The hashes are random already, so
/// their low bits say where to look.
std::size_t ContentSet::find(const ContentHash& hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t place = hash[1] & mask;
  while (slots_[place] != hash && slots_[place] != ContentHash{}) {
    place = (place + 1) & mask;
  }
  return place;
}

void ContentSet::grow() {
  std::vector<ContentHash> old(std::max<std::size_t>(1024, 2 * slots_.size()));
  old.swap(slots_);
  for (const ContentHash& hash : old) {
    if (hash != ContentHash{}) {
      slots_[find(hash)] = hash;
    }
  }
}

SplitSide SplitSide::of_share(double share, bool validation) {
  SplitSide side;
  side.validation_ = validation;
  // 53 bits of a double are enough: 2^64 times the share, without reaching 2^64.
  const double bound = std::ldexp(std::clamp(share, 0.0, 1.0 - 0x1p-53), 64);
  side.bound_ = ContentHash{static_cast<std::uint64_t>(bound), 0};
  return side;
}

SplitSide SplitSide::of_count(std::vector<ContentHash> all, std::int64_t count, bool validation) {
  SplitSide side;
  side.validation_ = validation;
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  side.bound_ = wanted < all.size() ? all[wanted] : ContentHash{UINT64_MAX, UINT64_MAX};
  return side;
}

}  // namespace weft::data
