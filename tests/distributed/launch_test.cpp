#include "distributed/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace weft::distributed {
namespace {

using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

Launch read(const Variables& variables) {
  return read_launch([&variables](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  });
}

std::string refusal(const Variables& variables) {
  try {
    const Launch launch = read(variables);
    ADD_FAILURE() << "taken as rank " << launch.rank << " of " << launch.world_size;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

Variables operator+(Variables a, const Variables& b) {
  a.insert(b.begin(), b.end());
  return a;
}

const Variables kTorchrun{{"RANK", "3"},
                          {"WORLD_SIZE", "4"},
                          {"LOCAL_RANK", "1"},
                          {"LOCAL_WORLD_SIZE", "2"},
                          {"GROUP_RANK", "1"},
                          {"GROUP_WORLD_SIZE", "2"},
                          {"MASTER_ADDR", "node7"},
                          {"MASTER_PORT", "29501"},
                          {"TORCHELASTIC_RESTART_COUNT", "2"},
                          {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
const Variables kSlurm{{"SLURM_STEP_ID", "0"},
                       {"SLURM_JOB_ID", "4711"},
                       {"SLURM_PROCID", "5"},
                       {"SLURM_STEP_NUM_TASKS", "11"},
                       {"SLURM_LOCALID", "1"},
                       {"SLURM_NODEID", "1"},
                       {"SLURM_RESTART_COUNT", "1"},
                       {"SLURM_STEP_NODELIST", "gpu[003-004,7]"},
                       {"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"}};
const Variables kOpenMpi{{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                         {"PMIX_NAMESPACE", "3120562177"}};

TEST(Launch, WithoutALauncherThereIsOneRank) {
  const Launch launch = read({{"SLURM_NTASKS", "8"}, {"MASTER_ADDR", "x"}});  // a batch script
  EXPECT_EQ(launch.launcher, "none");
  EXPECT_EQ(launch.world_size, 1);
  EXPECT_EQ(launch.local_world_size, 1);
}

TEST(Launch, Torchrun) {
  const Launch launch = read(kTorchrun);
  EXPECT_EQ(launch.launcher, "torchrun");
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.world_size, 4);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_world_size, 2);
  EXPECT_EQ(launch.master_address, "node7");
  EXPECT_EQ(launch.bind_address, "node7");
  EXPECT_EQ(launch.master_port, 29501);
  EXPECT_EQ(launch.restart_count, 2);
  EXPECT_TRUE(launch.store_is_served);
  EXPECT_FALSE(launch.is_loopback());
}

TEST(Launch, AKubernetesOperatorSetsOnlyWhatIsNeeded) {
  const Launch launch = read({{"RANK", "0"},
                              {"WORLD_SIZE", "2"},
                              {"MASTER_ADDR", "job-master-0"},
                              {"MASTER_PORT", "23456"},
                              {"WEFT_BIND_ADDRESS", "0.0.0.0"}});
  EXPECT_EQ(launch.world_size, 2);
  EXPECT_EQ(launch.local_rank, 0);
  EXPECT_EQ(launch.local_world_size, 0);
  EXPECT_FALSE(launch.store_is_served);
  EXPECT_EQ(launch.bind_address, "0.0.0.0");
}

TEST(Launch, SlurmFindsRankZerosHostAndAPortOfTheJobsOwn) {
  const Launch launch = read(kSlurm);
  EXPECT_EQ(launch.launcher, "slurm");
  EXPECT_EQ(launch.rank, 5);
  EXPECT_EQ(launch.world_size, 11);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_world_size, 4);
  EXPECT_EQ(launch.master_address, "gpu003");
  EXPECT_GE(launch.master_port, 20000);
  EXPECT_LT(launch.master_port, 32000);
  EXPECT_EQ(launch.restart_count, 1);
  Variables other = kSlurm;
  other["SLURM_JOB_ID"] = "4712";
  EXPECT_NE(read(other).master_port, launch.master_port);
  EXPECT_EQ(read(kSlurm + Variables{{"MASTER_ADDR", "m"}, {"MASTER_PORT", "99"}}).master_port, 99);
}

TEST(Launch, SlurmOnOneHostMeetsOnLoopback) {
  const Launch launch = read({{"SLURM_STEP_ID", "0"},
                              {"SLURM_PROCID", "0"},
                              {"SLURM_STEP_NUM_TASKS", "2"},
                              {"SLURM_NODEID", "0"},
                              {"SLURM_STEP_TASKS_PER_NODE", "2"},
                              {"SLURM_STEP_NODELIST", "me"}});
  EXPECT_EQ(launch.bind_address, "127.0.0.1");
  EXPECT_TRUE(launch.is_loopback());
}

TEST(Launch, Mpirun) {
  const Launch launch = read(kOpenMpi);
  EXPECT_EQ(launch.launcher, "mpirun");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.world_size, 2);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.master_address, "127.0.0.1");
  const Launch mpich = read(
      {{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "3"}});
  EXPECT_EQ(mpich.rank, 1);
  EXPECT_EQ(mpich.world_size, 3);
}

TEST(Launch, MpirunOnSeveralHostsMustNameTheFirst) {
  Variables variables = kOpenMpi;
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  variables["OMPI_COMM_WORLD_LOCAL_RANK"] = "0";
  EXPECT_THAT(refusal(variables), HasSubstr("mpirun -x MASTER_ADDR=HOST"));
  EXPECT_EQ(read(variables + Variables{{"MASTER_ADDR", "h0"}}).master_address, "h0");
}

TEST(Launch, TheOrderIsTorchrunSlurmMpirun) {
  // torchrun, one a host, in two tasks of srun: what people do, and no contradiction.
  Variables both = kTorchrun + kSlurm;
  both["SLURM_PROCID"] = "1";
  both["SLURM_STEP_NUM_TASKS"] = "2";
  EXPECT_EQ(read(both).launcher, "torchrun");
  EXPECT_EQ(read(both).rank, 3);
  // mpirun's daemon on another host is a step of one task.
  Variables daemon = kOpenMpi + kSlurm;
  daemon["SLURM_PROCID"] = "0";
  daemon["SLURM_STEP_NUM_TASKS"] = "1";
  daemon["SLURM_LOCALID"] = "0";
  EXPECT_EQ(read(daemon).launcher, "mpirun");
}

TEST(Launch, LaunchersThatContradictEachOtherAreRefused) {
  EXPECT_THAT(refusal(kTorchrun + kSlurm),
              ::testing::AllOf(HasSubstr("torchrun says rank 3 of 4, slurm says rank 5 of 11"),
                               HasSubstr("WEFT_LAUNCHER=torchrun")));
  Variables three = kOpenMpi;
  three["OMPI_COMM_WORLD_SIZE"] = "3";  // and torchrun is on two hosts
  EXPECT_THAT(refusal(kTorchrun + three), HasSubstr("mpirun says rank 1 of 3"));
  EXPECT_EQ(read(kTorchrun + kOpenMpi + Variables{{"WEFT_LAUNCHER", "mpirun"}}).rank, 1);
  EXPECT_EQ(read(kTorchrun + Variables{{"WEFT_LAUNCHER", "none"}}).world_size, 1);
}

TEST(Launch, VariablesThatAreThereInPartAreRefused) {
  EXPECT_THAT(refusal({{"RANK", "0"}}), HasSubstr("RANK is set without WORLD_SIZE"));
  EXPECT_THAT(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}}),
              HasSubstr("WORLD_SIZE=2 without MASTER_ADDR and MASTER_PORT"));
  EXPECT_THAT(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}),
              HasSubstr("MASTER_ADDR is set without MASTER_PORT"));
  EXPECT_THAT(refusal({{"OMPI_COMM_WORLD_SIZE", "2"}}),
              HasSubstr("OMPI_COMM_WORLD_SIZE is set without OMPI_COMM_WORLD_RANK"));
  EXPECT_THAT(refusal({{"WEFT_LAUNCHER", "slurm"}}), HasSubstr("none of the variables"));
  EXPECT_THAT(refusal({{"WEFT_LAUNCHER", "horovod"}}), HasSubstr("'horovod'; expected none"));
}

TEST(Launch, NumbersThatAreNoneAreRefused) {
  const std::pair<const char*, const char*> bad[] = {{"RANK", "4"},
                                                     {"RANK", "-1"},
                                                     {"RANK", "1x"},
                                                     {"WORLD_SIZE", "0"},
                                                     {"WORLD_SIZE", "100000"},
                                                     {"LOCAL_RANK", "2"},
                                                     {"MASTER_PORT", "0"},
                                                     {"MASTER_PORT", "65536"},
                                                     {"LOCAL_WORLD_SIZE", "9"},
                                                     {"RANK", "99999999999"},
                                                     {"TORCHELASTIC_RESTART_COUNT", "x"}};
  for (const auto& [name, value] : bad) {
    Variables variables = kTorchrun;
    variables[name] = value;
    EXPECT_THAT(refusal(variables), HasSubstr(std::string(name) + "=")) << value;
  }
}

TEST(Launch, FirstHostOfASlurmNodeList) {
  EXPECT_EQ(first_slurm_host("node1"), "node1");
  EXPECT_EQ(first_slurm_host("a,b"), "a");
  EXPECT_EQ(first_slurm_host("n[003-007,9],m1"), "n003");
  EXPECT_EQ(first_slurm_host("n[12]"), "n12");
  EXPECT_EQ(first_slurm_host("r[1-2]n[04-09]-x"), "r1n04-x");
  EXPECT_EQ(first_slurm_host("n[1"), "n1");
  EXPECT_EQ(first_slurm_host(""), "");
}

TEST(Launch, RanksOfANodeShareAHost) {
  const std::vector<RankInfo> blocks{{0, 0, "a", 1, ""},
                                     {1, 1, "a", 2, ""},
                                     {2, 0, "b", 3, ""},
                                     {3, 1, "b", 4, ""},
                                     {4, 2, "b", 5, ""}};
  EXPECT_THAT(ranks_of_node(blocks, 1), ::testing::ElementsAre(0, 1));
  EXPECT_THAT(ranks_of_node(blocks, 2), ::testing::ElementsAre(2, 3, 4));
  const std::vector<RankInfo> cyclic{
      {0, 0, "a", 1, ""}, {1, 0, "b", 2, ""}, {2, 1, "a", 3, ""}, {3, 1, "b", 4, ""}};
  EXPECT_THAT(ranks_of_node(cyclic, 3), ::testing::ElementsAre(1, 3));
  // Two nodes that call themselves the same, as containers may.
  const std::vector<RankInfo> twins{
      {0, 0, "a", 1, ""}, {1, 1, "a", 2, ""}, {2, 0, "a", 1, ""}, {3, 1, "a", 2, ""}};
  EXPECT_THAT(ranks_of_node(twins, 0), ::testing::ElementsAre(0, 1));
  EXPECT_THAT(ranks_of_node(twins, 3), ::testing::ElementsAre(2, 3));
}

TEST(Launch, TheTableHasOneRowARankAndForManyRanksOneAHost) {
  std::vector<RankInfo> ranks{{0, 0, "a", 11, "cpu"}, {1, 1, "a", 12, "cpu"}};
  EXPECT_THAT(rank_table(ranks), ::testing::ElementsAre("rank  host  local       pid  device",
                                                        "   0  a         0        11  cpu",
                                                        "   1  a         1        12  cpu"));
  ranks.clear();
  for (int r = 0; r < 40; ++r) {
    ranks.push_back({r, r % 8, "node" + std::to_string(r / 8), r, "cuda"});
  }
  EXPECT_THAT(rank_table(ranks), ::testing::SizeIs(6));
  EXPECT_EQ(rank_table(ranks)[2], "node1  8 to 15");
}

}  // namespace
}  // namespace weft::distributed
