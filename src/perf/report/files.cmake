set(report_SOURCES
  conclusion.cc csv_report.cc engine_json.cc generation.cc hgrm_report.cc histogram.cc histogram_data.cc histogram_text.cc
  html_charts.cc html_page.cc html_report.cc html_text.cc k6_report.cc machine.cc markdown_report.cc progress.cc
  report_data.cc report_files.cc report_reader.cc report_text.cc run_words.cc server_times.cc shown_url.cc summary.cc
  svg_chart.cc terminal.cc verdict.cc write_file.cc)
set(report_TESTS
  histogram_test.cc html_report_test.cc progress_test.cc report_data_test.cc summary_test.cc verdict_test.cc
  writers_test.cc)
