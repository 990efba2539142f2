#include "tests/program/rank_program.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/json.h"
#include "base/text.h"

namespace weft::test {

int free_port() {
  const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(file, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(file, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    ADD_FAILURE() << "no free port";
  }
  ::close(file);
  return ntohs(address.sin_port);
}

RankedProgram::RankedProgram(int world, const std::vector<std::string>& arguments,
                             const RankOptions& options) {
  const int port = options.port == 0 ? free_port() : options.port;
  const int per_node = options.per_node == 0 ? world : options.per_node;
  for (int rank = 0; rank < world; ++rank) {
    std::vector<std::string> command{
        "env",
        fmt::format("RANK={}", rank),
        fmt::format("WORLD_SIZE={}", world),
        fmt::format("LOCAL_RANK={}", rank % per_node),
        fmt::format("LOCAL_WORLD_SIZE={}", per_node),
        "MASTER_ADDR=127.0.0.1",
        fmt::format("MASTER_PORT={}", port),
        fmt::format("TORCHELASTIC_RESTART_COUNT={}", options.restart_count)};
    if (!options.fault.empty()) {
      command.push_back("WEFT_FAULT=" + options.fault);
    }
    command.emplace_back(options.fault.empty() ? WEFT_PROGRAM : WEFT_FAULTY_PROGRAM);
    command.insert(command.end(), arguments.begin(), arguments.end());
    if (rank == 1 && !options.only_rank_one.empty()) {
      command.push_back(options.only_rank_one);
    }
    processes_.push_back(std::make_unique<Process>(command));
  }
}

std::vector<ProcessResult> RankedProgram::wait_all() {
  std::vector<ProcessResult> results;
  for (auto& process : processes_) {
    results.push_back(process->wait());
  }
  return results;
}

ProcessResult run_ranks(int world, const std::vector<std::string>& arguments,
                        const RankOptions& options, int exit_code) {
  RankedProgram program(world, arguments, options);
  const std::vector<ProcessResult> results = program.wait_all();
  for (const ProcessResult& result : results) {
    EXPECT_EQ(result.exit_code, exit_code) << "signal " << result.signal << "\n" << result.err;
  }
  return results[0];
}

std::uint64_t logged_number(const ProcessResult& result, const std::string& words) {
  const std::size_t at = result.err.find(words);
  EXPECT_NE(at, std::string::npos) << result.err;
  return at == std::string::npos ? 0 : std::stoull(result.err.substr(at + words.size()));
}

bool wait_for_steps(Process& process, const fs::path& out, std::int64_t lines) {
  while (process.running()) {
    if (fs::exists(out / "metrics.jsonl")) {
      const std::string text = content(out / "metrics.jsonl");
      if (std::count(text.begin(), text.end(), '\n') >= lines) {
        return true;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

std::vector<LoggedStep> logged_steps(const fs::path& out) {
  std::vector<LoggedStep> steps;
  const std::string text = content(out / "metrics.jsonl");
  for (const std::string_view line : split(text, '\n')) {
    if (line.find("\"loss\"") != std::string_view::npos) {
      const Json json = parse_json(line, "metrics.jsonl");
      steps.push_back({json.at("loss").get<double>(), json.at("grad_norm").get<double>(),
                       json.at("tokens").get<std::int64_t>(),
                       json.at("trained_tokens").get<std::int64_t>()});
    }
  }
  return steps;
}

}  // namespace weft::test
