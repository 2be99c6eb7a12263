"""The version of every step, an integer in its rule's params: a step whose results change gets a new one.

Editing a helper reruns nothing by itself and touching a script reruns everything (Snakemake looks at dates), so this
number is what says truly that results differ. tests/contract/test_versions.py fails until it was decided.
"""

STEPS = {
    "fetch_annotation": 1,
    "fetch_model": 1,
    "list_media": 1,
    "list_clips": 2,
    "list_shard": 1,
    "write_plan": 1,
    "download_video": 1,
    "import_video": 1,
    "cut_clips": 1,
    "track_faces": 1,
    "crop_clips": 2,
    "correct_sync": 1,
    "score_clips": 2,
    "measure_quality": 1,
    "filter_clips": 1,
    "gather_filtered": 1,
    "extract_feature": 2,
    "write_manifest": 1,
    "export_hdtf": 1,
    "draw_contact_sheet": 1,
}
