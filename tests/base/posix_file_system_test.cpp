#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/file_system.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using test::caught;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PosixFileSystem : public ::testing::Test {
 protected:
  std::string message(const std::function<void()>& action) {
    const Error error = caught(action);
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }

  FileSystem& files_ = posix_file_system();
  test::TempFolder folder_;
};

TEST_F(PosixFileSystem, ReadsAtAnyOffset) {
  write_synced(files_, folder_ / "x", "0123456789");
  const auto file = files_.open(folder_ / "x");
  EXPECT_EQ(file->size(), 10U);
  char out[4] = {};
  file->read_at(6, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(std::string(out, 4), "6789");
  file->read_at(10, {});
}

TEST_F(PosixFileSystem, ReadingPastTheEndNamesFileAndOffsets) {
  write_synced(files_, folder_ / "x", "0123456789");
  const auto file = files_.open(folder_ / "x");
  std::byte out[4];
  EXPECT_EQ(message([&] { file->read_at(7, out); }),
            (folder_ / "x").string() +
                ": 4 bytes wanted at byte 7, but the file ends at byte 10; it is cut short");
  EXPECT_THAT(message([&] { file->read_at(~std::uint64_t{0}, out); }), HasSubstr("cut short"));
}

TEST_F(PosixFileSystem, AFileCutWhileOpenIsAnError) {
  write_synced(files_, folder_ / "x", "0123456789");
  const auto file = files_.open(folder_ / "x");
  fs::resize_file(folder_ / "x", 8);
  std::byte out[4];
  EXPECT_THAT(message([&] { file->read_at(6, out); }),
              HasSubstr("ends at byte 8, but had 10 bytes when it was opened"));
}

TEST_F(PosixFileSystem, OpensOnlyRegularFiles) {
  EXPECT_THAT(message([&] { (void)files_.open(folder_ / "no"); }),
              HasSubstr("no: cannot open: No such file or directory"));
  EXPECT_THAT(message([&] { (void)files_.open(folder_.path()); }),
              HasSubstr("expected a file, found a folder"));
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message([&] { (void)files_.open(folder_ / "pipe"); }),
              HasSubstr("found a device or pipe"));
}

TEST_F(PosixFileSystem, FollowsALinkOnlyWhenAskedTo) {
  write_synced(files_, folder_ / "x", "text");
  fs::create_symlink("x", folder_ / "link");
  EXPECT_EQ(files_.open(folder_ / "link")->size(), 4U);
  EXPECT_THAT(message([&] { (void)files_.open(folder_ / "link", false); }),
              HasSubstr("symbolic links are not followed here"));
}

TEST_F(PosixFileSystem, CreateRefusesALinkToNowhere) {
  fs::create_symlink(folder_ / "elsewhere", folder_ / "link");
  EXPECT_THAT(message([&] { (void)files_.create(folder_ / "link"); }), HasSubstr("File exists"));
  EXPECT_FALSE(files_.exists(folder_ / "elsewhere"));
}

TEST_F(PosixFileSystem, OpenAppendAddsToTheEnd) {
  for (const char* const line : {"one\n", "two\n"}) {
    const auto file = files_.open_append(folder_ / "log");
    file->append(line);
    file->close();
  }
  EXPECT_EQ(read_file(files_, folder_ / "log"), "one\ntwo\n");
}

TEST_F(PosixFileSystem, AFullDiskIsNamedAndEndsTheFile) {
  const auto file = files_.open_append("/dev/full");
  EXPECT_EQ(message([&] { file->append("text"); }),
            "/dev/full: cannot write: No space left on device; free some space or choose another "
            "folder");
  EXPECT_EQ(message([&] { file->sync(); }),
            "/dev/full: an earlier write failed, so the file is not whole");
  EXPECT_THAT(message([&] { file->append("more"); }), HasSubstr("an earlier write failed"));
}

TEST_F(PosixFileSystem, AFileSizeLimitIsAnErrorAndTheShortWriteBeforeItIsFinished) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {100'000, before.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string problem = message([&] {
    const auto file = files_.create(folder_ / "x");
    file->append(std::string(150'000, 'x'));  // the kernel takes 100,000 bytes, then refuses
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(problem, HasSubstr("x: cannot write: File too large"));
  EXPECT_EQ(fs::file_size(folder_ / "x"), 100'000U);
}

/// Interrupts system calls of this process many times a second; the handler has no SA_RESTART.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, &old_action_);
    const itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Interruptions() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &old_action_, nullptr);
  }

 private:
  struct sigaction old_action_ {};
};

TEST_F(PosixFileSystem, ShortAndInterruptedWritesAreFinished) {
  // A pipe takes 64 KiB at most at once, and a slow reader makes write() wait, where signals
  // interrupt it.
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  const int reader = ::open((folder_ / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_EQ(fcntl(reader, F_SETFL, 0), 0);
  const auto file = files_.open_append(folder_ / "pipe");
  std::string text(1'000'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>('a' + i * 7 % 23);
  }
  std::string received;
  std::thread slow_reader([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the signals are for the writer
    char buffer[30'000];
    while (received.size() < text.size()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const ssize_t count = ::read(reader, buffer, sizeof(buffer));
      if (count <= 0) {
        break;
      }
      received.append(buffer, static_cast<std::size_t>(count));
    }
  });
  {
    const Interruptions interruptions;
    file->append(text);
    file->close();
  }
  slow_reader.join();
  ::close(reader);
  EXPECT_TRUE(received == text);
}

TEST_F(PosixFileSystem, UseAfterCloseIsADefect) {
  const auto file = files_.create(folder_ / "x");
  file->close();
  EXPECT_EQ(caught([&] { file->append("x"); }).kind(), ErrorKind::kInternal);
}

TEST_F(PosixFileSystem, DescriptorsAreNotInheritedAndNotLeaked) {
  const auto open_descriptors = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      ++count;
    }
    return count;
  };
  const std::size_t before = open_descriptors();
  {
    const auto written = files_.create(folder_ / "x");
    const auto read = files_.open(folder_ / "x");
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry.path(), gone) == folder_ / "x") {
        const int flags = fcntl(std::stoi(entry.path().filename().string()), F_GETFD);
        EXPECT_TRUE((flags & FD_CLOEXEC) != 0);
      }
    }
    files_.sync_folder(folder_.path());
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(PosixFileSystem, FolderCalls) {
  files_.make_folders(folder_ / "a" / "b" / "c");
  files_.make_folders(folder_ / "a" / "b" / "");
  EXPECT_TRUE(files_.is_folder(folder_ / "a/b/c"));
  EXPECT_THAT(files_.list(folder_ / "a"), ElementsAre("b"));
  write_synced(files_, folder_ / "a" / "z", "");
  write_synced(files_, folder_ / "a" / "Z", "");
  EXPECT_THAT(files_.list(folder_ / "a"), ElementsAre("Z", "b", "z"));
  files_.rename(folder_ / "a", folder_ / "d");
  EXPECT_FALSE(files_.exists(folder_ / "a"));
  files_.remove(folder_ / "d" / "z");
  files_.remove_all(folder_ / "d");
  files_.remove_all(folder_ / "d");
  EXPECT_FALSE(files_.exists(folder_ / "d"));
}

TEST_F(PosixFileSystem, RelativeFoldersAreMade) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  files_.make_folders("one/two");
  files_.make_folders(".");
  fs::current_path(before);
  EXPECT_TRUE(files_.is_folder(folder_ / "one/two"));
}

TEST_F(PosixFileSystem, RemoveAllDoesNotFollowLinks) {
  write_synced(files_, folder_ / "keep", "x");
  files_.make_folders(folder_ / "tree");
  fs::create_directory_symlink(folder_.path(), folder_ / "tree" / "link");
  files_.remove_all(folder_ / "tree");
  EXPECT_TRUE(files_.exists(folder_ / "keep"));
}

TEST_F(PosixFileSystem, FolderErrorsNameThePath) {
  write_synced(files_, folder_ / "file", "x");
  EXPECT_THAT(message([&] { files_.make_folders(folder_ / "file" / "sub"); }),
              HasSubstr("file: cannot create the folder: File exists"));
  EXPECT_THAT(message([&] { (void)files_.list(folder_ / "no"); }),
              HasSubstr("no: cannot list the folder: No such file or directory"));
  EXPECT_THAT(message([&] { files_.sync_folder(folder_ / "file"); }),
              HasSubstr("file: cannot open the folder: Not a directory"));
  EXPECT_THAT(message([&] { files_.remove(folder_ / "no"); }), HasSubstr("no: cannot remove"));
  EXPECT_THAT(message([&] { files_.rename(folder_ / "no", folder_ / "to"); }),
              HasSubstr("to: cannot rename no to this: No such file or directory"));
  EXPECT_FALSE(files_.exists(folder_ / "file" / "below-a-file"));
}

}  // namespace
}  // namespace weft
