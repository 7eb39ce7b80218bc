"""The pipeline classes of diffusers that cannot be served, with the reasons.

A test compares the table with the installed diffusers. Classes that are not listed are checked when
they are loaded. Torch-free, since the API reads it, too.
"""

VIDEO = "it generates video, and darkroom serves images"
NO_STEP_CALLBACK = "it has no `callback_on_step_end`: it could neither be cancelled nor report its progress"
NEEDS_INPUT = "it needs an input picture, and darkroom serves text to image"
NOT_TEXT_TO_IMAGE = "it does not turn a prompt into images"

_CLASSES = {
    VIDEO: """
    Allegro AnimateDiffControlNet AnimateDiffPAG AnimateDiff AnimateDiffSDXL
    AnimateDiffSparseControlNet AnimateDiffVideoToVideoControlNet AnimateDiffVideoToVideo AnyFlowFAR
    AnyFlow ChronoEdit CogVideoXFunControl CogVideoXImageToVideo CogVideoX CogVideoXVideoToVideo
    ConsisID Cosmos2VideoToWorld Cosmos2_5_PredictBase Cosmos2_5_Transfer Cosmos3Omni
    CosmosTextToWorld CosmosVideoToWorld EasyAnimateControl EasyAnimateInpaint EasyAnimate Helios
    HeliosPyramid HunyuanSkyreelsImageToVideo HunyuanVideo15ImageToVideo HunyuanVideo15
    HunyuanVideoFramepack HunyuanVideoImageToVideo HunyuanVideo I2VGenXL Kandinsky5I2V Kandinsky5T2V
    Kandinsky6SR Kandinsky6TI2VA LTX2Condition LTX2DFR LTX2DFRTemporalRefine LTX2HDR
    LTX2ImageToVideo LTX2InContext LTX2LatentUpsample LTX2 LTXCondition LTXI2VLongMultiPrompt
    LTXImageToVideo LTXLatentUpsample LTX Latte LucyEdit Mochi MotifVideoImage2Video MotifVideo PIA
    SanaImageToVideo SanaVideo SanaWM SkyReelsV2DiffusionForcingImageToVideo
    SkyReelsV2DiffusionForcing SkyReelsV2DiffusionForcingVideoToVideo SkyReelsV2ImageToVideo
    SkyReelsV2 StableVideoDiffusion TextToVideoSD TextToVideoZero TextToVideoZeroSDXL VideoToVideoSD
    WanAnimate WanImageToVideo Wan WanVACE WanVideoToVideo
    """,
    NO_STEP_CALLBACK: """
    AmusedImg2Img AmusedInpaint Amused AudioLDM2 AudioLDM BlipDiffusionControlNet BlipDiffusion
    ConsistencyModel CycleDiffusion DDIM DDPM DanceDiffusion DiT DreamLiteMobile DreamLite
    FluxPriorRedux IFImg2Img IFImg2ImgSuperResolution IFInpainting IFInpaintingSuperResolution IF
    IFSuperResolution KandinskyCombined KandinskyImg2ImgCombined KandinskyImg2Img
    KandinskyInpaintCombined KandinskyInpaint Kandinsky KandinskyPrior KandinskyV22ControlnetImg2Img
    KandinskyV22Controlnet KandinskyV22PriorEmb2Emb KarrasVe LDM LDMSuperResolution LDMTextToImage
    LTX2VideoDiffusionDecode LongCatImageEdit LongCatImage MarigoldDepth MarigoldIntrinsics
    MarigoldNormals MusicLDM PNDM PaintByExample PixArtAlpha PixArtSigmaPAG PixArtSigma RePaint
    ScoreSdeVe SemanticStableDiffusion ShapEImg2Img ShapE StableAudio StableDiffusionAdapter
    StableDiffusionAttendAndExcite StableDiffusionDiffEdit StableDiffusionGLIGEN
    StableDiffusionGLIGENTextImage StableDiffusionImageVariation StableDiffusionLatentUpscale
    StableDiffusionModelEditing StableDiffusionParadigms StableDiffusionPix2PixZero
    StableDiffusionSAG StableDiffusionUpscale StableDiffusionXLAdapter
    StableDiffusionXLInstructPix2Pix StableUnCLIPImg2Img StableUnCLIP UnCLIPImageVariation UnCLIP
    UniDiffuser VQDiffusion VersatileDiffusionDualGuided VersatileDiffusionImageVariation
    VersatileDiffusion VersatileDiffusionTextToImage
    """,
    NEEDS_INPUT: """
    AltDiffusionImg2Img BriaFiboEdit ChromaImg2Img ChromaInpaint CogView4Control Flux2KleinInpaint
    FluxControlImg2Img FluxControlInpaint FluxControlNetImg2Img FluxControlNetInpaint FluxControlNet
    FluxControl FluxFill FluxImg2Img FluxInpaint FluxKontextInpaint HunyuanDiTControlNet
    HunyuanImageRefiner JoyImageEdit JoyImageEditPlus Kandinsky3Img2Img Kandinsky5I2I
    KandinskyV22Img2ImgCombined KandinskyV22InpaintCombined LatentConsistencyModelImg2Img
    QwenImageControlNetInpaint QwenImageControlNet QwenImageEditInpaint
    QwenImageEditPlus QwenImageImg2Img QwenImageInpaint QwenImageLayered SanaControlNet
    SanaSprintImg2Img StableCascadeDecoder StableDiffusion3ControlNetInpainting
    StableDiffusion3ControlNet StableDiffusion3Img2Img StableDiffusion3Inpaint
    StableDiffusion3PAGImg2Img StableDiffusionControlNetImg2Img StableDiffusionControlNetInpaint
    StableDiffusionControlNetPAGInpaint StableDiffusionControlNetPAG StableDiffusionControlNet
    StableDiffusionControlNetXS StableDiffusionDepth2Img StableDiffusionImg2Img
    StableDiffusionInstructPix2Pix StableDiffusionPAGImg2Img
    StableDiffusionPAGInpaint StableDiffusionXLControlNetImg2Img StableDiffusionXLControlNetInpaint
    StableDiffusionXLControlNetPAGImg2Img StableDiffusionXLControlNetPAG StableDiffusionXLControlNet
    StableDiffusionXLControlNetUnionImg2Img StableDiffusionXLControlNetUnionInpaint
    StableDiffusionXLControlNetUnion StableDiffusionXLControlNetXS StableDiffusionXLImg2Img
    StableDiffusionXLPAGImg2Img StableDiffusionXLPAGInpaint
    WuerstchenDecoder ZImageControlNetInpaint ZImageControlNet ZImageImg2Img ZImageInpaint
    ZImageOmni
    """,
    NOT_TEXT_TO_IMAGE: """
    AceStep DiffusionGemma KandinskyV22Img2Img KandinskyV22Inpaint KandinskyV22 KandinskyV22Prior
    LLaDA2 LongCatAudioDiT RFD4Proteina StableAudio3AudioToAudio StableAudio3Inpaint StableAudio3
    StableCascadePrior StableDiffusionLDM3D VisualClozeGeneration VisualCloze WuerstchenPrior
    """,
}
"""Class names without the `Pipeline` at their end."""

UNSERVABLE_PIPELINES = {
    f"{name}Pipeline": reason for reason, names in _CLASSES.items() for name in names.split()
}
"""The reason by class name."""
