#include "perf/bench/report_flags.h"

namespace sis::perf {

void add_report_flags(FlagSet& flags, ReportFiles* files) {
  flags.text({{"html"}, {}}, &files->html, "FILE", "a page with charts, in one file");
  flags.text({{"csv"}, {}}, &files->csv, "FILE", "a line per run, in perf_analyzer's columns");
  flags.text({{"markdown", "md"}, {}}, &files->markdown, "FILE",
             "configuration, results and conclusion as Markdown");
  flags.text({{"hgrm"}, {}}, &files->hgrm, "FILE",
             "percentile distribution in HdrHistogram's text form");
  flags.text({{"summary-export", "k6"}, {}}, &files->summary_export, "FILE",
             "JSON as of k6 --summary-export");
  flags.text({{"handle-summary"}, {}}, &files->handle_summary, "FILE",
             "JSON as k6 gives to handleSummary()");
  flags.text({{"machine-summary"}, {}}, &files->machine_summary, "FILE",
             "JSON as of k6 --new-machine-readable-summary");
}

}  // namespace sis::perf
