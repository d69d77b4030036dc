// The commands behind `sis bench <what>`. Each parses its flags (and the environment), runs,
// reports, and returns the process's exit code: 0 done, 1 nothing was answered well or the run was
// cut short, 2 wrong arguments.
#pragma once

#include <string>
#include <vector>

#include "perf/bench/common.h"

namespace sis::perf {

int bench(const BenchContext& context,
          const std::vector<std::string>& arguments);  // arguments[0] is <what>
int bench_audio(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_chat(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_completions(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_embeddings(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_http(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_infer(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_kserve(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_predict(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_rerank(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_run(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_serve_worker(const BenchContext& context, const std::vector<std::string>& arguments);
int bench_smoke(const BenchContext& context, const std::vector<std::string>& arguments);
// `sis report`: arguments are what follows it.
int report_command(const BenchContext& context, const std::vector<std::string>& arguments);

}  // namespace sis::perf
