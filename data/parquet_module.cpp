// The only file that sees Arrow's headers; a module of its own, see reader_parquet.cpp.
#include "data/parquet_module.h"

#include <arrow/array.h>
#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>

#include <exception>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace weft::data {

namespace {

constexpr std::int64_t kBatchRows = 256;
constexpr int kMaxDepth = 64;

/// A file of weft's as Arrow reads it: by position alone.
class ArrowFile final : public arrow::io::RandomAccessFile {
 public:
  explicit ArrowFile(std::unique_ptr<ReadableFile> file) : file_(std::move(file)) {}

  arrow::Result<std::int64_t> GetSize() override {
    return static_cast<std::int64_t>(file_->size());
  }
  arrow::Result<std::int64_t> ReadAt(std::int64_t position, std::int64_t count,
                                     void* out) override {
    const auto size = static_cast<std::int64_t>(file_->size());
    if (position < 0 || count < 0 || position > size) {
      return arrow::Status::IOError("a read outside the file");
    }
    count = std::min(count, size - position);
    const std::span bytes(static_cast<std::byte*>(out), static_cast<std::size_t>(count));
    file_->read_at(static_cast<std::uint64_t>(position), bytes);
    return count;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(std::int64_t position,
                                                       std::int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count));
    ARROW_ASSIGN_OR_RAISE(const std::int64_t read, ReadAt(position, count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(read));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Result<std::int64_t> Read(std::int64_t count, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const std::int64_t read, ReadAt(position_, count, out));
    position_ += read;
    return read;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, count));
    position_ += buffer->size();
    return buffer;
  }
  arrow::Status Seek(std::int64_t position) override {
    position_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<std::int64_t> Tell() const override { return position_; }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }

 private:
  std::unique_ptr<ReadableFile> file_;
  std::int64_t position_ = 0;
  bool closed_ = false;
};

Json to_json(const arrow::Array& array, std::int64_t index, int depth);

template <typename List>
Json list_to_json(const arrow::Array& array, std::int64_t index, int depth) {
  const auto& list = static_cast<const List&>(array);
  Json json = Json::array();
  for (std::int64_t i = 0; i < list.value_length(index); ++i) {
    json.push_back(to_json(*list.values(), list.value_offset(index) + i, depth + 1));
  }
  return json;
}

Json struct_to_json(const arrow::StructArray& array, std::int64_t index, int depth) {
  Json json = Json::object();
  for (int i = 0; i < array.num_fields(); ++i) {
    Json value = to_json(*array.field(i), index, depth + 1);
    if (!value.is_null()) {
      json[array.struct_type()->field(i)->name()] = std::move(value);
    }
  }
  return json;
}

/// A map with words for keys is an object.
Json map_to_json(const arrow::MapArray& array, std::int64_t index, int depth) {
  Json json = Json::object();
  for (std::int64_t i = 0; i < array.value_length(index); ++i) {
    const std::int64_t place = array.value_offset(index) + i;
    const Json key = to_json(*array.keys(), place, depth + 1);
    json[key.is_string() ? key.get<std::string>() : dump_json(key)] =
        to_json(*array.items(), place, depth + 1);
  }
  return json;
}

template <typename Array>
Json number_to_json(const arrow::Array& array, std::int64_t index) {
  return static_cast<const Array&>(array).Value(index);
}

template <typename Array>
Json text_to_json(const arrow::Array& array, std::int64_t index) {
  const std::string_view text = static_cast<const Array&>(array).GetView(index);
  if (!is_utf8(text)) {
    throw std::runtime_error("a text is not valid UTF-8");
  }
  return std::string(text);
}

/// Everything else: what Arrow prints for it.
Json other_to_json(const arrow::Array& array, std::int64_t index) {
  const auto scalar = array.GetScalar(index);
  if (!scalar.ok()) {
    throw std::runtime_error(scalar.status().ToString());
  }
  return (*scalar)->ToString();
}

Json to_json(const arrow::Array& array, std::int64_t index, int depth) {
  if (depth > kMaxDepth) {
    throw std::runtime_error("its columns are nested too deeply");
  }
  if (array.IsNull(index)) {
    return nullptr;
  }
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return number_to_json<arrow::BooleanArray>(array, index);
    case arrow::Type::INT8:
      return number_to_json<arrow::Int8Array>(array, index);
    case arrow::Type::INT16:
      return number_to_json<arrow::Int16Array>(array, index);
    case arrow::Type::INT32:
      return number_to_json<arrow::Int32Array>(array, index);
    case arrow::Type::INT64:
      return number_to_json<arrow::Int64Array>(array, index);
    case arrow::Type::UINT8:
      return number_to_json<arrow::UInt8Array>(array, index);
    case arrow::Type::UINT16:
      return number_to_json<arrow::UInt16Array>(array, index);
    case arrow::Type::UINT32:
      return number_to_json<arrow::UInt32Array>(array, index);
    case arrow::Type::UINT64:
      return number_to_json<arrow::UInt64Array>(array, index);
    case arrow::Type::FLOAT:
      return number_to_json<arrow::FloatArray>(array, index);
    case arrow::Type::DOUBLE:
      return number_to_json<arrow::DoubleArray>(array, index);
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return text_to_json<arrow::BinaryArray>(array, index);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return text_to_json<arrow::LargeBinaryArray>(array, index);
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return text_to_json<arrow::BinaryViewArray>(array, index);
    case arrow::Type::LIST:
      return list_to_json<arrow::ListArray>(array, index, depth);
    case arrow::Type::LARGE_LIST:
      return list_to_json<arrow::LargeListArray>(array, index, depth);
    case arrow::Type::FIXED_SIZE_LIST:
      return list_to_json<arrow::FixedSizeListArray>(array, index, depth);
    case arrow::Type::STRUCT:
      return struct_to_json(static_cast<const arrow::StructArray&>(array), index, depth);
    case arrow::Type::MAP:
      return map_to_json(static_cast<const arrow::MapArray&>(array), index, depth);
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      return to_json(*coded.dictionary(), coded.GetValueIndex(index), depth);
    }
    default:
      return other_to_json(array, index);
  }
}

class ParquetRows final : public RowReader {
 public:
  ParquetRows(FileSystem& files, const fs::path& path, std::uint64_t max_row_bytes)
      : path_(path), max_row_bytes_(max_row_bytes) {
    std::unique_ptr<ReadableFile> file = files.open(path);
    bytes_ = file->size();
    guarded([&] {
      parquet::ReaderProperties properties;
      properties.enable_buffered_stream();  // or a whole column chunk is held at once
      properties.set_page_checksum_verification(true);
      parquet::arrow::FileReaderBuilder builder;
      check(builder.Open(std::make_shared<ArrowFile>(std::move(file)), properties));
      parquet::ArrowReaderProperties arrow_properties;
      arrow_properties.set_batch_size(kBatchRows);
      arrow_properties.set_pre_buffer(false);
      check(builder.properties(arrow_properties)->Build(&reader_));
      rows_ = reader_->parquet_reader()->metadata()->num_rows();
      batches_ = take(reader_->GetRecordBatchReader());
    });
  }

  bool next(Row& row) override {
    return guarded([&] {
      while (batch_ == nullptr || index_ == batch_->num_rows()) {
        check(batches_->ReadNext(&batch_));
        index_ = 0;
        if (batch_ == nullptr) {
          return false;
        }
        // Arrow takes offsets as they are in the file; of a damaged one they lead anywhere.
        check(batch_->ValidateFull());
      }
      read(row);
      return true;
    });
  }
  [[nodiscard]] std::uint64_t bytes_read() const override {
    return number_ == rows_ ? bytes_
                            : static_cast<std::uint64_t>(static_cast<double>(bytes_) *
                                                         static_cast<double>(number_) /
                                                         static_cast<double>(rows_));
  }

 private:
  void read(Row& row) {
    Json json = Json::object();
    for (int i = 0; i < batch_->num_columns(); ++i) {
      json[batch_->schema()->field(i)->name()] = to_json(*batch_->column(i), index_, 0);
    }
    ++index_;
    row.line = ++number_;
    row.text = dump_json(json);
    if (row.text.size() > max_row_bytes_) {
      fail_data("{}:{}: the row is longer than {}; split it", path_.string(), number_,
                human_bytes(max_row_bytes_));
    }
  }

  static void check(const arrow::Status& status) {
    if (!status.ok()) {
      throw std::runtime_error(status.message());
    }
  }

  template <typename T>
  static T take(arrow::Result<T> result) {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  /// What Arrow throws or returns as an Error that names the file.
  template <typename Call>
  auto guarded(Call&& call) -> decltype(call()) {
    try {
      return call();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      fail_data("{}: cannot be read as Parquet after row {}: {}", path_.string(), number_,
                printable(error.what(), 300));
    }
  }

  fs::path path_;
  std::uint64_t max_row_bytes_;
  std::uint64_t bytes_ = 0;  ///< of the file
  std::int64_t rows_ = 0;    ///< in the file
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::int64_t index_ = 0;   ///< in batch_, of the next row
  std::int64_t number_ = 0;  ///< of the last row given
};

}  // namespace

}  // namespace weft::data

/// What reader_parquet.cpp looks up.
extern "C" __attribute__((visibility("default"))) weft::data::RowReader* weft_open_parquet_rows(
    weft::FileSystem& files, const weft::fs::path& path, std::uint64_t max_row_bytes) {
  return new weft::data::ParquetRows(files, path, max_row_bytes);
}
