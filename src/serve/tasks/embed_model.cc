#include "serve/tasks/embed_model.h"

namespace sis::tasks {

Mat<float> embed_batch(const EmbedModel& model, ops::Context& context,
                       const nn::RaggedBatch& batch) {
  Mat<float> out = context.workspace.take_mat<float>(batch.sequences(), model.dimensions());
  Workspace::Scope scope(context.workspace);
  Mat<float> states =
      context.workspace.take_mat<float>(batch.tokens(), model.encoder->info().hidden);
  model.encoder->forward(context, batch, states);
  model.head.forward(context, states, batch.offsets, out);
  return out;
}

}  // namespace sis::tasks
