"""Models: each is fetched once, verified and recorded; features and scores only ever read the files.

REQUIRED INPUTS   config: models: {model}                 repository or address, revision, hash and size of each file
OUTPUTS           resources/models/{model}/{file}         the files, one rule a model
                  resources/models/{model}/talkset.json   what they are
                  resources/models/lock.tsv               what was fetched when; fixes what the config does not pin
"""

for model, about in FETCHED_MODELS.items():
    fetch_rule = f"fetch_{models.identifier(model)}"

    rule:
        name:
            fetch_rule
        output:
            files=[
                paths.MODEL.format(model=model, file=file) for file in about["files"]
            ],
            record=paths.MODEL_RECORD.format(model=model),
        log:
            paths.log(fetch_rule).format(dataset="models"),
        localrule: True
        conda:
            "../envs/base.yaml"
        params:
            model=model,
            source={key: about[key] for key in models.SOURCE},
            pinned=about["files"],
            lock=paths.MODEL_LOCK,
            version=STEPS["fetch_model"],
        script:
            "../scripts/fetch_model.py"
