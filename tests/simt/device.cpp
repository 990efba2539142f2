#include "tests/simt/device.h"

#include <algorithm>
#include <stdexcept>

namespace weft::simt {
namespace {

constexpr std::uintptr_t kSector = 32;

std::string text_of(const Moment& moment) {
  return fmt::format("block {} thread {}", moment.block, moment.thread);
}

}  // namespace

Device& Device::current() {
  static Device device;
  return device;
}

void Device::add_rows(std::string name, void* data, const RowBytes& bytes, Role role) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::size_t size = bytes.rows == 0 ? 0 : (bytes.rows - 1) * bytes.stride + bytes.width;
  std::erase_if(buffers_, [&](const auto& buffer) {
    return begin < buffer->begin + buffer->size && buffer->begin < begin + size;
  });
  buffers_.push_back(std::make_unique<Buffer>(
      Buffer{std::move(name), begin, size, bytes, role, History(size), buffers_added_++, {}, {}}));
}

const Device::Buffer& Device::find(const std::string& name) const {
  for (const auto& buffer : buffers_) {
    if (buffer->name == name) {
      return *buffer;
    }
  }
  throw std::logic_error("no buffer is called " + name);
}

void Device::check_written() const {
  for (const auto& buffer : buffers_) {
    for (std::size_t at = 0; buffer->role == Role::kOutput && at < buffer->size; ++at) {
      if (in_row(*buffer, at, 1) && !buffer->history.written(at, 1)) {
        throw Violation(Rule::kUnwritten, fmt::format("byte {} of {} bytes of {} was never written",
                                                      at, buffer->size, buffer->name));
      }
    }
  }
}

Device::Buffer& Device::buffer_at(std::uintptr_t address, std::size_t size, const Moment& now,
                                  const Where& where) {
  Buffer* nearest = nullptr;
  for (const auto& buffer : buffers_) {
    if (address >= buffer->begin && address + size <= buffer->begin + buffer->size) {
      return *buffer;
    }
    if (address >= buffer->begin && (nearest == nullptr || buffer->begin > nearest->begin)) {
      nearest = buffer.get();
    }
  }
  const std::string place =
      nearest == nullptr ? "before every buffer"
                         : fmt::format("{} bytes after the start of {}, which has {}",
                                       address - nearest->begin, nearest->name, nearest->size);
  throw Violation(Rule::kBounds, fmt::format("{} at {}: {} bytes {}", text_of(now),
                                             simt::text_of(where), size, place));
}

void Device::access(const void* pointer, std::size_t size, bool write, const Moment& now,
                    const Where& where) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  Buffer& buffer = buffer_at(address, size, now, where);
  const std::size_t offset = address - buffer.begin;
  const auto fail = [&](Rule rule, const std::string& what) {
    throw Violation(rule, fmt::format("{} at {}: {} of {} bytes at byte {} of {}{}", text_of(now),
                                      simt::text_of(where), write ? "store" : "load", size, offset,
                                      buffer.name, what));
  };
  if (!in_row(buffer, offset, size)) {
    fail(Rule::kBounds, fmt::format(", whose rows of {} bytes are {} apart", buffer.rows.width,
                                    buffer.rows.stride));
  }
  if (address % size != 0) {
    fail(Rule::kAlignment, ", not aligned to its size");
  }
  if (write && buffer.role == Role::kInput) {
    fail(Rule::kReadOnly, ", an input");
  }
  if (!write && buffer.role == Role::kOutput && !buffer.history.written(offset, size)) {
    fail(Rule::kUninitialised, ", an output not written there yet");
  }
  if (const auto other = buffer.history.note(offset, size, write, now)) {
    fail(Rule::kRace, fmt::format(", unordered with an access of {}", text_of(*other)));
  }
  count(buffer, write, address, size, now, where);
}

void Device::count(Buffer& buffer, bool write, std::uintptr_t address, std::size_t size,
                   const Moment& now, const Where& where) {
  Traffic& traffic = write ? buffer.write : buffer.read;
  traffic.bytes += static_cast<std::int64_t>(size);
  ++traffic.accesses;
  const std::uint64_t line = (std::uint64_t{where.line()} << 32) | where.column();
  const std::uint64_t site =
      sites_.try_emplace({where.file_name(), line}, sites_.size()).first->second;
  const auto thread = static_cast<std::uint64_t>(now.thread);
  const std::uint64_t visit = visits_[site << 16 | thread]++;
  // A line of a template may touch several buffers, so the buffer is part of the key.
  const std::uint64_t counter = (2 * buffer.id + (write ? 1 : 0)) & 0x1fff;
  const std::uint64_t key = visit << 32 | counter << 19 | site << 5 | thread / 32;
  WarpAccess& access = warp_accesses_.try_emplace(key, WarpAccess{&traffic, {}}).first->second;
  for (std::uintptr_t sector = address / kSector; sector * kSector < address + size; ++sector) {
    access.sectors.push_back(sector);
  }
}

void Device::end_block() {
  for (auto& [key, access] : warp_accesses_) {
    std::sort(access.sectors.begin(), access.sectors.end());
    const auto end = std::unique(access.sectors.begin(), access.sectors.end());
    access.traffic->sectors += end - access.sectors.begin();
  }
  warp_accesses_.clear();
  visits_.clear();
}

}  // namespace weft::simt
