// HDF5: a token shard, opened, every value checked, every document read; and the same bytes as
// Cerebras' samples.
#include "data/cerebras.h"
#include "data/shard_reader.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  const fs::path path = fuzz::put("shard.h5", fuzz::text(data, size));
  fuzz::refuses_or_takes([&] {
    const data::ShardReader shard(path);
    shard.verify();
    std::vector<std::int32_t> ids;
    std::vector<std::uint8_t> mask;
    for (std::int64_t d = 0; d < shard.counts().documents; ++d) {
      shard.read(d, shard.counts().tokens, ids, mask);
    }
  });
  fuzz::refuses_or_takes([&] {
    data::CerebrasReader reader(posix_file_system(), path, 16);
    data::CerebrasDocument document;
    while (reader.next(document)) {
    }
  });
  return 0;
}
