"""GroundingDINO and SAM with random weights, in the files that the hub has: they prove loading, never quality."""

import json
from pathlib import Path

import torch

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a an . ? horse cow elephant body".split()
NORMALISED = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "do_pad": True,
}


def write_grounding_dino(folder: Path) -> Path:
    """Five queries on images scaled to 96 pixels; a Swin and a BERT of a few channels."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 96,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 1, 1],
            "window_size": 4,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": len(WORDS),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
        num_queries=5,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=32,  # its group norms have 32 groups
        encoder_n_points=2,
        decoder_n_points=2,
        max_text_len=32,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    _write_json(
        folder / "preprocessor_config.json",
        NORMALISED
        | {
            "image_processor_type": "GroundingDinoImageProcessor",
            "processor_class": "GroundingDinoProcessor",
            "format": "coco_detection",
            "size": {"shortest_edge": 96, "longest_edge": 160},
        },
    )
    return folder


def write_sam(folder: Path) -> Path:
    """Images scaled to 64 pixels, masks of 32."""
    from transformers import SamConfig, SamModel

    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [0],
            "num_pos_feats": 4,
            "mlp_dim": 16,
        },
        prompt_encoder_config={"hidden_size": 8, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 8,
            "mlp_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 8,
            "iou_head_depth": 2,
        },
    )
    SamModel(config).save_pretrained(folder)
    _write_json(
        folder / "preprocessor_config.json",
        NORMALISED
        | {
            "image_processor_type": "SamImageProcessor",
            "processor_class": "SamProcessor",
            "size": {"longest_edge": 64},
            "pad_size": {"height": 64, "width": 64},
        },
    )
    return folder


def _write_json(path: Path, data: dict[str, object]) -> None:
    path.write_text(json.dumps(data))
