#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// The layout of a token shard, one HDF5 file: attributes of the root group and 1-D datasets, four
/// in every shard and two where the data has them.
///
///   tokens      int32  [tokens]         all documents one after another
///   mask        uint8  [tokens]         1 where the token is a target
///   doc_offsets int64  [documents + 1]  document d is tokens[doc_offsets[d] .. doc_offsets[d+1])
///   source      uint16 [documents]      which dataset of the config a document came from
///   pair        int64  [documents]      preferences: -1, or the number in this shard of the chosen
///                                       document of its pair; the rejected one follows it
///   label       int8   [documents]      judgements: 1 desirable, 0 undesirable, -1 not judged
namespace weft::data {

inline constexpr std::string_view kShardFormat = "weft.tokens";
inline constexpr std::int64_t kShardVersion = 1;
/// More tokens than this in one file are neither written nor read.
inline constexpr std::int64_t kMaxShardTokens = std::int64_t{1} << 30;

/// What a shard was made with and from; equal for all shards of a folder.
struct ShardIdentity {
  std::string tokenizer_sha256;
  std::int64_t vocab_size = 0;  ///< every token is in [0, vocab_size)
  std::string fingerprint;      ///< of the inputs and options, 64 hexadecimal digits

  bool operator==(const ShardIdentity&) const = default;
};

struct ShardCounts {
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;

  bool operator==(const ShardCounts&) const = default;
};

}  // namespace weft::data
