// Optimises WASM with binaryen, for size or speed: `node optimise.mjs <level> <shrink level> <file>…`. All files share a
// process, since starting binaryen takes most of a short run.

import { readFileSync, writeFileSync } from 'node:fs';
import binaryen from 'binaryen';

const { BulkMemory, BulkMemoryOpt, Multivalue, MutableGlobals, NontrappingFPToInt, ReferenceTypes, SIMD128, SignExt } = binaryen.Features;
/** What every browser of the last years understands, and Rust's compiler makes use of. */
const FEATURES =
  BulkMemory | BulkMemoryOpt | Multivalue | MutableGlobals | NontrappingFPToInt | ReferenceTypes | SIMD128 | SignExt;

const [level, shrinkLevel, ...files] = process.argv.slice(2);
binaryen.setOptimizeLevel(Number(level));
binaryen.setShrinkLevel(Number(shrinkLevel));
for (const file of files) {
  const module = binaryen.readBinary(readFileSync(file));
  module.setFeatures(FEATURES);
  module.optimize();
  writeFileSync(file, module.emitBinary());
  module.dispose();
}
