#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace weft::test {
namespace {

int memory_file(const std::string& content = "") {
  const int file = ::memfd_create("weft-test", MFD_CLOEXEC);
  if (file < 0 || ::write(file, content.data(), content.size()) != std::ssize(content)) {
    throw std::runtime_error("cannot keep a child's output in memory");
  }
  ::lseek(file, 0, SEEK_SET);
  return file;
}

std::string content_of(int file) {
  std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
  return ::pread(file, text.data(), text.size(), 0) == std::ssize(text) ? text : "";
}

[[noreturn]] void become(const std::vector<std::string>& arguments, int in, int out, int err) {
  ::setpgid(0, 0);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::setenv("OMP_NUM_THREADS", "1", 1);
  std::vector<char*> words;
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& input)
    : out_(memory_file()), err_(memory_file()) {
  const int in = memory_file(input);
  id_ = ::fork();
  if (id_ == 0) {
    become(arguments, in, out_, err_);
  }
  ::setpgid(id_, id_);  // whichever of the two comes first
  ::close(in);
}

Process::~Process() {
  ::kill(-id_, SIGKILL);
  if (!ended_) {
    reap(0);
  }
  ::close(out_);
  ::close(err_);
}

void Process::send(int signal) const { ::kill(id_, signal); }

bool Process::reap(int options) {
  ended_ = ended_ || ::waitpid(id_, &status_, options) == id_;
  return ended_;
}

bool Process::running() { return !reap(WNOHANG); }

ProcessResult Process::wait(std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!reap(WNOHANG)) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "still running after " << limit.count() << " s:\n" << content_of(err_);
      ::kill(-id_, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ProcessResult result;
  result.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  result.signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  result.out = content_of(out_);
  result.err = content_of(err_);
  return result;
}

ProcessResult run_process(const std::vector<std::string>& arguments, const std::string& input) {
  return Process(arguments, input).wait();
}

bool can_trace() {
  return run_process({"strace", "-f", "-qq", "-o", "/dev/null", "true"}).exit_code == 0;
}

}  // namespace weft::test
