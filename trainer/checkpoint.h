#pragma once

// Checkpoints of a run: OUT/checkpoint-000123/ holds the adapter in PEFT's layout (usable as it
// is), the optimizer's tensors, trainer_state.json, and MANIFEST.json, which is written last and
// makes the folder a checkpoint.

#include "trainer/checkpoint_find.h"
#include "trainer/checkpoint_manifest.h"
#include "trainer/checkpoint_retention.h"
#include "trainer/checkpoint_state.h"
#include "trainer/checkpoint_writer.h"
