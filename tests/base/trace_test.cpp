#include "base/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/json.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

void wait(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

TEST(Trace, PhasesCostNothingAndAreNowhereWhileNoTraceIsActive) {
  TracePhase phase("before");
  const Trace trace;
  phase.next("still before");  // it began without a trace
  EXPECT_TRUE(trace.shares().empty());
}

TEST(Trace, ASpanCountsWithoutTheSpansInsideIt) {
  const Trace trace;
  {
    TracePhase outer("outer");
    wait(5);
    {
      const TracePhase inner("inner");
      wait(40);
    }
    outer.next("after");
  }
  const auto shares = trace.shares();
  ASSERT_EQ(shares.size(), 3U);
  EXPECT_EQ(shares[0].name, "inner");
  EXPECT_GE(shares[0].seconds, 0.040);
  EXPECT_EQ(shares[1].name, "outer");
  EXPECT_GE(shares[1].seconds, 0.005);
  EXPECT_EQ(shares[2].name, "after");
  EXPECT_NEAR(shares[0].fraction + shares[1].fraction + shares[2].fraction, 1.0, 1e-9);
}

// A device's work is waited for where the span ends, so that its time is the span's.
TEST(Trace, ASpanEndsWhenItsWorkIsSettled) {
  int calls = 0;
  Trace::settle_by([&] { ++calls; });  // no trace is active: for nobody
  {
    const Trace trace;
    { const TracePhase phase("before"); }
    EXPECT_EQ(calls, 0);
    bool queued = false;
    Trace::settle_by([&] {
      ++calls;
      if (queued) {
        wait(30);
      }
    });
    {
      const TracePhase phase("queues");
      queued = true;
    }
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(trace.shares()[0].name, "queues");
    EXPECT_GE(trace.shares()[0].seconds, 0.030);
  }
  const Trace next;
  { const TracePhase phase("after"); }
  EXPECT_EQ(calls, 2) << "another trace's";
}

TEST(Trace, SumsOverEqualNames) {
  const Trace trace;
  for (int i = 0; i < 7; ++i) {
    const TracePhase phase("again");
  }
  ASSERT_EQ(trace.shares().size(), 1U);
  EXPECT_EQ(trace.shares()[0].count, 7);
  EXPECT_THAT(trace.summary(), HasSubstr("again"));
  EXPECT_THAT(trace.summary(), HasSubstr("100.0%"));
}

TEST(Trace, TheFileIsChromesFormatWithSpansThatNest) {
  const test::TempFolder temp;
  const Trace trace;
  {
    const TracePhase outer("outer");
    const TracePhase inner("inner");
    wait(2);
  }
  trace.write(posix_file_system(), temp / "trace.json");
  const Json json = read_json(posix_file_system(), temp / "trace.json");
  const Json& events = json.at("traceEvents");
  ASSERT_EQ(events.size(), 2U);
  const Json& inner = events.at(0);
  const Json& outer = events.at(1);
  EXPECT_EQ(inner.at("name"), "inner");
  EXPECT_EQ(outer.at("name"), "outer");
  EXPECT_EQ(inner.at("ph"), "X");
  EXPECT_GE(inner.at("dur").get<double>(), 2000.0);
  EXPECT_LE(outer.at("ts").get<double>(), inner.at("ts").get<double>());
  EXPECT_GE(outer.at("ts").get<double>() + outer.at("dur").get<double>(),
            inner.at("ts").get<double>() + inner.at("dur").get<double>());
}

TEST(Trace, ATraceWithoutSpansIsAFileToo) {
  const test::TempFolder temp;
  const Trace trace;
  trace.write(posix_file_system(), temp / "trace.json");
  EXPECT_TRUE(read_json(posix_file_system(), temp / "trace.json").at("traceEvents").empty());
}

}  // namespace
}  // namespace weft
