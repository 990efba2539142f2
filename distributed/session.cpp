#include "distributed/session.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "distributed/heartbeat.h"

namespace weft::distributed {
namespace {

using std::chrono::milliseconds;

std::string host_name() {
  std::array<char, 256> text{};
  return ::gethostname(text.data(), text.size() - 1) == 0 ? text.data() : "unknown host";
}

double seconds(milliseconds time) { return static_cast<double>(time.count()) / 1000; }

std::string describe(const RankInfo& info) {
  return fmt::format("rank {} ({}, pid {})", info.rank, info.host, info.pid);
}

// What a rank says of itself, as a line of JSON.
std::string info_text(const Launch& launch, const RankInfo& info) {
  Json json = Json::object();
  json["world_size"] = launch.world_size;
  json["rank"] = info.rank;
  json["local_rank"] = info.local_rank;
  json["host"] = info.host;
  json["pid"] = info.pid;
  json["device"] = info.device;
  return dump_json(json);
}

RankInfo info_of(const Json& json, const std::string& where) {
  RankInfo info;
  info.rank = static_cast<int>(json_int(json, "rank", where));
  info.local_rank = static_cast<int>(json_int(json, "local_rank", where));
  info.host = json_string(json, "host", where);
  info.pid = json_int(json, "pid", where);
  info.device = json_string(json, "device", where);
  return info;
}

struct Status {
  std::int32_t kind = 0;  ///< 0: all is well; else an ErrorKind
  std::array<char, 1020> message{};
};

Status status_of(const std::exception_ptr& error) {
  Status status;
  std::string text;
  try {
    if (error) {
      std::rethrow_exception(error);
    }
    return status;
  } catch (const Error& e) {
    status.kind = static_cast<std::int32_t>(e.kind());
    text = e.what();
  } catch (const std::bad_alloc&) {
    status.kind = static_cast<std::int32_t>(ErrorKind::kOutOfMemory);
    text = "out of memory";
  } catch (const std::exception& e) {
    status.kind = static_cast<std::int32_t>(ErrorKind::kInternal);
    text = e.what();
    text = text.substr(0, text.find('\n'));
  }
  std::copy_n(text.data(), std::min(text.size(), status.message.size() - 1),
              status.message.begin());
  return status;
}

bool is_peer_error(const std::exception_ptr& error) {
  return status_of(error).kind == static_cast<std::int32_t>(ErrorKind::kPeer);
}

}  // namespace

Session::Session()
    : watchdog_(std::make_unique<Watchdog>("this process", milliseconds(0))),
      group_(make_single_group()) {}

Session::Session(const Launch& launch, const SessionOptions& options)
    : launch_(launch), timeout_(options.timeout) {
  if (launch.world_size == 1) {
    watchdog_ = std::make_unique<Watchdog>("this process", milliseconds(0));
    group_ = make_single_group();
    return;
  }
  store_ = open_key_store(launch_, timeout_);
  introduce(options);
  // A rank that waits in a collective is found by the collective's own timeout, a little earlier.
  watchdog_ = std::make_unique<Watchdog>(
      fmt::format("{} of {}", describe(ranks_[static_cast<std::size_t>(rank())]), size()),
      timeout_ + std::max(timeout_ / 4, milliseconds(500)));
  group_ = options.backend == "nccl" ? make_nccl_group(*store_, launch_, timeout_)
                                     : make_gloo_group(*store_, launch_, timeout_);
  if (is_main()) {
    log_info("{} ranks by {}, {}, meeting at {}", size(), launch_.launcher, group_->backend(),
             store_->name());
    for (const std::string& line : rank_table(ranks_)) {
      log_info("{}", line);
    }
  }
}

Session::~Session() = default;

void Session::introduce(const SessionOptions& options) {
  const RankInfo mine{rank(), launch_.local_rank, host_name(), ::getpid(), options.device};
  const std::string own = fmt::format("info/{}", rank());
  if (store_->add(fmt::format("join/{}", rank()), 1) > 1) {
    const bool known = store_->has(own);
    const std::string other =
        known ? describe(info_of(parse_json(store_->get(own), own), own)) : "another process";
    refuse(
        fmt::format("two processes say that they are rank {} of {}: {}, and {}; each must have "
                    "its own number",
                    rank(), size(), other, describe(mine)));
  }
  store_->set(own, info_text(launch_, mine));
  std::vector<std::string> keys;
  for (int r = 0; r < size(); ++r) {
    keys.push_back(fmt::format("info/{}", r));
  }
  // In steps, so that a contradiction is found when it is there and not when all have come.
  std::vector<std::string> infos;
  for (const std::string& key : keys) {
    if (!wait_for_keys(*store_, {key}, timeout_, [this] { throw_if_refused(); })) {
      fail_missing(keys);
    }
    infos.push_back(store_->get(key));
    const std::string problem = problem_of(infos);
    if (!problem.empty()) {
      refuse(problem);
    }
  }
  for (std::size_t r = 0; r < infos.size(); ++r) {
    ranks_.push_back(info_of(parse_json(infos[r], keys[r]), keys[r]));
  }
}

// "" when the last of the infos agrees with this rank.
std::string Session::problem_of(const std::vector<std::string>& infos) const {
  const std::string where = fmt::format("info/{}", infos.size() - 1);
  const Json json = parse_json(infos.back(), where);
  const std::int64_t world = json_int(json, "world_size", where);
  return world == size() ? ""
                         : fmt::format(
                               "{} says that there are {} ranks, rank {} says {}; start "
                               "all of them with the same number",
                               describe(info_of(json, where)), world, rank(), size());
}

void Session::refuse(const std::string& problem) {
  store_->set("refused", problem);
  // Whoever serves the store stays until the others have read why they must leave.
  if (is_main() && !launch_.store_is_served) {
    (void)wait_for_keys(*store_, {"never"}, milliseconds(1500));
  }
  throw Error(ErrorKind::kConfig, problem);
}

void Session::throw_if_refused() {
  if (store_->has("refused")) {
    const std::string problem = store_->get("refused");
    if (is_main() && !launch_.store_is_served) {
      (void)wait_for_keys(*store_, {"never"}, milliseconds(1500));
    }
    throw Error(ErrorKind::kConfig, problem);
  }
}

void Session::fail_missing(const std::vector<std::string>& keys) {
  std::vector<std::string> missing;
  for (std::size_t r = 0; r < keys.size(); ++r) {
    if (!store_->has(keys[r])) {
      missing.push_back(std::to_string(r));
    }
  }
  const std::size_t count = missing.size();
  if (count > 16) {
    missing.resize(16);
    missing.emplace_back("…");
  }
  fail(ErrorKind::kPeer,
       "{} of {} ranks joined at {} within {:.1f} s (ddp_timeout); missing: rank {}. See their own "
       "output, and whether they reach this address",
       keys.size() - count, keys.size(), store_->name(), seconds(timeout_), join(missing, ", "));
}

std::unique_ptr<BackgroundGather> Session::open_gather(const std::vector<int>& ranks,
                                                       const std::string& purpose) {
  const auto own = std::find(ranks.begin(), ranks.end(), rank());
  if (size() == 1 || own == ranks.end()) {
    fail_internal("gathers of {} ranks without rank {} of {}", ranks.size(), rank(), size());
  }
  const GatherMembers members{fmt::format("{}-{}-{}", purpose, gathers_[purpose]++, ranks.front()),
                              ranks, static_cast<int>(own - ranks.begin())};
  return group_->backend() == "nccl" ? make_nccl_gather(*store_, launch_, members, timeout_)
                                     : make_gloo_gather(*store_, launch_, members, timeout_);
}

void Session::compare(const std::map<std::string, std::string>& values) {
  if (size() == 1) {
    return;
  }
  const std::string key = fmt::format("values/{}", comparisons_++);
  together("handshake", [&] {
    Json json = Json::object();
    for (const auto& [name, value] : values) {
      json[name] = value;
    }
    if (is_main()) {
      store_->set(key, dump_json(json));
      return;
    }
    if (!wait_for_keys(*store_, {key}, timeout_)) {
      fail(ErrorKind::kPeer, "rank 0 has not said within {:.1f} s what it runs", seconds(timeout_));
    }
    const Json theirs = parse_json(store_->get(key), "rank 0's values");
    std::vector<std::string> differences;
    for (const auto& [name, value] : values) {
      const std::string other = theirs.contains(name) ? theirs.at(name).get<std::string>() : "";
      if (other != value) {
        differences.push_back(fmt::format("{}: {} here, {} at rank 0", name,
                                          value.empty() ? "nothing" : value,
                                          other.empty() ? "nothing" : other));
      }
    }
    if (!differences.empty()) {
      const auto& me = ranks_[static_cast<std::size_t>(rank())];
      fail_config("on {} this differs from rank 0 on {}: {}; all ranks must run the same", me.host,
                  ranks_[0].host, join(differences, "; "));
    }
  });
}

void Session::together(const std::string& phase, const std::function<void()>& body,
                       std::int64_t step) {
  std::exception_ptr mine;
  try {
    watchdog_->enter(phase, step);
    body();
  } catch (...) {
    mine = std::current_exception();
  }
  settle(mine);
}

void Session::settle(std::exception_ptr mine) {
  if (size() == 1 || is_peer_error(mine)) {  // a group that lost a rank can't be asked any more
    if (mine) {
      group_->abort();
      std::rethrow_exception(mine);
    }
    return;
  }
  const Status status = status_of(mine);
  const auto kinds = group_->gather(status.kind, watchdog_->where());
  const auto failed = std::find_if(kinds.begin(), kinds.end(), [](auto kind) { return kind != 0; });
  if (failed == kinds.end()) {
    return;
  }
  const auto all = group_->gather(status, watchdog_->where());
  const auto first = static_cast<std::size_t>(failed - kinds.begin());
  const auto others = std::count_if(failed + 1, kinds.end(), [](auto kind) { return kind != 0; });
  throw Error(static_cast<ErrorKind>(all[first].kind),
              fmt::format("rank {}: {}{}", first, all[first].message.data(),
                          others > 0 ? fmt::format(" (and {} other rank{} failed too)", others,
                                                   others == 1 ? "" : "s")
                                     : ""));
}

void Session::leave(std::exception_ptr mine) {
  group_->abort();
  const Status status = status_of(mine);
  throw Error(static_cast<ErrorKind>(status.kind),
              fmt::format("rank {}: {}", rank(), status.message.data()));
}

void Session::main_first(const std::string& phase, const std::function<void()>& body) {
  if (size() == 1) {
    body();
    return;
  }
  const std::string done = fmt::format("done/{}", phases_);
  const std::string alive = fmt::format("alive/{}", phases_++);
  together(phase, [&] {
    if (is_main()) {
      std::exception_ptr error;
      {
        const Heartbeat heartbeat(*store_, alive,
                                  std::clamp(timeout_ / 8, milliseconds(20), milliseconds(5000)));
        try {
          body();
        } catch (...) {
          error = std::current_exception();
        }
      }
      store_->set(done, error ? "failed" : "ok");
      if (error) {
        std::rethrow_exception(error);
      }
      return;
    }
    wait_for_main(done, alive, phase);
    if (store_->get(done) == "ok") {
      body();
    }
  });
}

void Session::wait_for_main(const std::string& key, const std::string& alive,
                            const std::string& phase) {
  std::string last;
  auto since = std::chrono::steady_clock::now();
  const auto meanwhile = [&] {
    watchdog_->tick();
    const std::string now = store_->has(alive) ? store_->get(alive) : "";
    if (now != last) {
      last = now;
      since = std::chrono::steady_clock::now();
    } else if (std::chrono::steady_clock::now() - since > timeout_) {
      fail(ErrorKind::kPeer,
           "rank {} of {}: rank 0 has been silent for {:.1f} s (ddp_timeout) in phase {}", rank(),
           size(), seconds(timeout_), phase);
    }
  };
  (void)wait_for_keys(*store_, {key}, std::chrono::hours(24 * 365), meanwhile);
}

}  // namespace weft::distributed
