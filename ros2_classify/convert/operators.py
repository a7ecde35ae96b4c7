# Copyright 2026 the ros2_classify authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
The operators that a TensorFlow model may have, because TensorFlow runs it while converting.

They compute: those that tf2onnx 1.17 converts, and others without effects outside of the graph
(https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/ops), so that an error can
still say that ONNX lacks them. None opens a file or a connection, calls Python, starts a program
or prints.
"""

from __future__ import annotations

# Save and restore variables in files that an input of theirs names.
CHECKPOINT_OPERATORS = frozenset((
    'MergeV2Checkpoints', 'RestoreV2', 'SaveV2', 'ShardedFilename'))

ALLOWED_OPERATORS = frozenset("""
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All
    Angle Any ApproximateEqual ArgMax ArgMin AsString Asin Asinh Assert Assign AssignAdd
    AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AvgPool
    AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart BatchMatrixInverse
    BatchToSpace BatchToSpaceND BesselI0e BesselI1e Betainc BiasAdd BiasAddV1 Bincount Bitcast
    BitwiseAnd BitwiseOr BitwiseXor BlockLSTM BlockLSTMV2 BroadcastArgs BroadcastGradientArgs
    BroadcastTo Bucketize CTCGreedyDecoder Case Cast Ceil CheckNumerics Cholesky ClipByValue
    CombinedNonMaxSuppression Complex ComplexAbs Concat ConcatOffset ConcatV2 Conj
    ConjugateTranspose Const ControlTrigger Conv Conv2D Conv2DBackpropInput Conv3D
    Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross CudnnRNN Cumprod Cumsum
    CumulativeLogsumexp DataFormatDimMap DataFormatVecPermute DecodeAndCropJpeg DecodeBase64
    DecodeBmp DecodeCSV DecodeGif DecodeImage DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw
    DenseBincount DenseToDenseSetOperation DepthToSpace DepthwiseConv2dNative Dequantize
    DestroyResourceOp DestroyTemporaryVariable Diag DiagPart Digamma Dilation2D
    DisableCopyOnRead Div DivNoNan DrawBoundingBoxes DrawBoundingBoxesV2 DynamicPartition
    DynamicStitch EditDistance Einsum Elu Empty EmptyTensorList EncodeBase64 EnsureShape Enter
    Equal Erf Erfc Erfinv EuclideanNorm Exit Exp ExpandDims Expint Expm1 ExtractGlimpse
    ExtractGlimpseV2 ExtractImagePatches ExtractVolumePatches FFT FFT2D FFT3D FakeParam
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill
    Floor FloorDiv FloorMod FractionalAvgPool FractionalMaxPool FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D GRUBlockCell Gather GatherNd
    GatherV2 Greater GreaterEqual HSVToRGB HashTable HashTableV2 HistogramFixedWidth
    HistogramSummary IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity IdentityN If Igamma
    Igammac Imag ImageProjectiveTransformV2 ImageProjectiveTransformV3 ImageSummary InTopK
    InTopKV2 InitializeTable InitializeTableV2 InplaceAdd InplaceSub InplaceUpdate Inv Invert
    InvertPermutation IsFinite IsInf IsNan IsVariableInitialized L2Loss LRN LSTMBlockCell
    LeakyRelu LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogMatrixDeterminant
    LogSoftmax LogicalAnd LogicalNot LogicalOr LookupTableExportV2 LookupTableFind
    LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableSize LookupTableSizeV2
    LoopCond LowerBound Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart
    MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixExponential MatrixInverse
    MatrixLogarithm MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixSolveLs
    MatrixSquareRoot MatrixTriangularSolve Max MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax
    Maximum Mean Merge MergeSummary Min Minimum MirrorPad Mod Mul MulNoNan Multinomial
    MutableHashTableV2 Ndtri Neg NextAfter NextIteration NoOp NonMaxSuppression
    NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
    NonMaxSuppressionWithOverlaps NotEqual NthElement OneHot OnesLike Pack Pad PadV2
    ParallelConcat ParallelDynamicStitch ParseExample ParseExampleV2 ParseSingleExample
    ParseTensor PartitionedCall Placeholder PlaceholderV2 PlaceholderWithDefault Polygamma
    PopulationCount Pow PreventGradient Prod Qr QuantizeAndDequantize QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeDownAndShrinkRange QuantizeV2
    QuantizedAdd QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd
    QuantizedConcat QuantizedConcatV2 QuantizedConv2D QuantizedInstanceNorm QuantizedMatMul
    QuantizedMaxPool QuantizedMul QuantizedRelu QuantizedRelu6 QuantizedReluX QuantizedReshape
    QuantizedResizeBilinear RFFT RFFT2D RFFT3D RGBToHSV RaggedBincount RaggedCross
    RaggedFillEmptyRows RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse
    RaggedTensorToTensor RaggedTensorToVariant RandomGamma RandomPoissonV2 RandomShuffle
    RandomStandardNormal RandomUniform RandomUniformInt Range Rank ReadVariableOp Real RealDiv
    Reciprocal ReduceJoin RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSelect
    RefSwitch RegexFullMatch RegexReplace Relu Relu6 RequantizationRange Requantize Reshape
    ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather
    ResourceGatherNd ResourceScatterAdd ResourceScatterUpdate ResourceStridedSliceAssign
    ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt SampleDistortedBoundingBox
    SampleDistortedBoundingBoxV2 ScalarSummary ScaleAndTranslate ScatterAdd ScatterNd
    ScatterNdAdd ScatterNdNonAliasingAdd ScatterNdSub ScatterNdUpdate ScatterSub ScatterUpdate
    SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
    SegmentSum SegmentSumV2 Select SelectV2 SelfAdjointEig SelfAdjointEigV2 Selu SetSize Shape
    ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyWithLogits Softplus
    Softsign SpaceToBatch SpaceToBatchND SpaceToDepth SparseAdd SparseConcat
    SparseFillEmptyRows SparseMatMul SparseReduceMax SparseReduceSum SparseReorder
    SparseReshape SparseSegmentMean SparseSegmentMeanWithNumSegments SparseSegmentSqrtN
    SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumWithNumSegments
    SparseSlice SparseSoftmax SparseSoftmaxCrossEntropyWithLogits SparseTensorDenseAdd
    SparseTensorDenseMatMul SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze
    StackCloseV2 StackPopV2 StackPushV2 StackV2 StatefulPartitionedCall StatelessCase
    StatelessIf StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2
    StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormal StatelessTruncatedNormalV2 StatelessWhile StaticRegexFullMatch
    StaticRegexReplace StopGradient StridedSlice StridedSliceAssign StringFormat StringJoin
    StringLength StringLower StringSplit StringSplitV2 StringStrip StringToHashBucket
    StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Sub Substr Sum
    Svd Switch Tan Tanh TemporaryVariable TensorArray TensorArrayClose TensorArrayCloseV2
    TensorArrayCloseV3 TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3
    TensorArrayGather TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayRead TensorArrayReadV2
    TensorArrayReadV3 TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3
    TensorArraySize TensorArraySizeV2 TensorArraySizeV3 TensorArraySplit TensorArraySplitV2
    TensorArraySplitV3 TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2
    TensorArrayWriteV3 TensorListConcat TensorListConcatLists TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
    TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch
    TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList
    TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack TensorScatterAdd
    TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
    TensorStridedSliceUpdate TensorSummary TensorSummaryV2 Tile ToBool TopK TopKV2 Transpose
    TruncateDiv TruncateMod TruncatedNormal Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2
    Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp Variable VariableShape
    VariableV2 Where While Xdivy Xlog1py Xlogy ZerosLike Zeta _Arg _Retval
""".split())
