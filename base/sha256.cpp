#include "base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"

namespace weft {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr ||
      EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) {
    fail_internal("SHA-256 is not available in libcrypto");
  }
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) {
    fail_internal("SHA-256: update failed");
  }
}

void Sha256::update(std::string_view text) {
  update(std::as_bytes(std::span(text.data(), text.size())));
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest{};
  if (EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) != 1) {
    fail_internal("SHA-256: finish failed");
  }
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.finish();
}

std::string sha256_file(FileSystem& files, const fs::path& path) {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  const std::unique_ptr<ReadableFile> file = files.open(path);
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(kPiece, file->size())));
  Sha256 hash;
  for (std::uint64_t at = 0; at < file->size(); at += buffer.size()) {
    const std::uint64_t count = std::min<std::uint64_t>(buffer.size(), file->size() - at);
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(count));
    file->read_at(at, piece);
    hash.update(piece);
  }
  return hash.finish();
}

}  // namespace weft
