"""What people type into the search, and the page that answers: words of other libraries, and of trades.

The words join the index of the search and the keywords of the page; they are not shown. The search splits what is typed
at every sign but letters, digits and _, so each stands alone: `hot` for one-hot.
"""

from docutils import nodes
from sphinx.application import Sphinx

WORDS = {
    "guides/training": """
        callback callbacks checkpoint checkpoints checkpointing fit verbose progress progressbar logging resume
        interrupt finetune finetuning transfer freeze frozen patience epochs batch_size history augmentation""",
    "sweeps": """
        hyperparameter hyperparameters tuning gridsearch gridsearchcv hyperband asha seeds ensemble vmap parallel
        multiprocessing cluster dask slurm raytune wandb""",
    "guides/optuna": "bayesian tpe pruner pruning hyperopt hyperparameter",
    "guides/scikit-learn": """
        sklearn pipeline pipelines mlpclassifier mlpregressor gridsearchcv pandas dataframe onehot hot""",
    "guides/pytorch": "torch state_dict pth safetensors weights pretrained",
    "guides/presets": "keras tensorflow flax optax torch defaults",
    "guides/deploying": "onnx export serving production inference tflite edge aot javascript wasm",
    "guides/text": "nlp llm gpt bert llama chat chatbot generate sampling language",
    "guides/gradients": "gradcheck autograd autodiff gradient_check finite",
    "guides/concept": "custom subclass extend plugin",
    "guides/optimizers": "optax optimiser scheduler",
    "reference/layers": """
        cnn convnet convolutional conv1d conv2d conv3d maxpooling maxpool2d rnn embedding linear fully
        batchnormalization layernormalization multiheadattention gpt sequential module resnet skip upsampling
        deconvolution positional mlp perceptron xavier kaiming initialization weight_init""",
    "reference/activations": "nonlinearity swish relu6 logistic heaviside",
    "reference/losses": """
        criterion categorical categorical_crossentropy sparse_categorical_crossentropy crossentropy
        binary_crossentropy multilabel multiclass bce bceloss nllloss mse mae rmse l1loss smoothl1loss
        imbalance imbalanced""",
    "reference/metrics": "roc fscore mape top5 confusion precision recall",
    "reference/optimizers": "optimiser momentum nesterov clipping clipnorm ema swa decoupled reducelronplateau",
    "reference/schedules": "scheduler lr_scheduler annealing learning_rate decay warmup",
    "reference/regularizers": "lasso ridge penalty constraint sparsity weight_decay",
    "reference/data": """
        dataset dataloader mnist fashion cifar normalize normalization standardscaler train_test_split kfold
        shuffle labels tokenizer categorical text minmax minmaxscaler""",
    "reference/training": """
        compile predict evaluate random_state reproducible determinism bfloat16 float16 bf16 fp16 half mixed
        precision amp nan gpu tpu accelerator checkpoint callback""",
    "reference/sweeps": "gpu gpus tpu devices cores multigpu",
    "reference/results": "dataframe plot plots report excel pandas export",
    "reference/linear": "glm glmnet lars elasticnet logisticregression",
    "reference/records": "pytree dataclass config",
    "cost": "flops macs memory parameters count_params size summary",
    "conventions": "nan dtype float64 x64 shape broadcasting channels_first channels_last nhwc nchw",
    "benchmarks-in-detail": "profile floor aims anatomy",
    "benchmarks": "speed fast slow performance comparison",
    "install": """
        pip conda cuda gpu tpu jupyter notebook colab
        windows mac macos apple metal amd rocm version requirements upgrade""",
    "tutorial": "quickstart beginner introduction start example",
    "troubleshooting": "faq error errors exception nan oom memory slow",
    "recipes/csv": "categorical pandas onehot preprocessing",
    "recipes/images": "cnn convolutional pillow imagefolder resume",
    "recipes/resume": "verbose callback checkpoint interrupt",
    "recipes/weights": "imbalance imbalanced class_weight sample_weight",
    "recipes/two-inputs": "multimodal functional",
    "recipes/large-data": "dataloader memmap streaming generator",
    "problems/auto_encoder": "autoencoder unsupervised",
    "problems/speech": "audio voice sound",
    "problems/denoising": "unet denoise autoencoder",
    "changelog": "release news",
    "citing": "citation bibtex licence license",
}


def add_words(app: Sphinx, doctree: nodes.document) -> None:
    """Give a page its words."""
    if words := WORDS.get(app.env.docname):
        doctree.insert(0, nodes.meta("", name="keywords", content=", ".join(words.split())))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect."""
    app.connect("doctree-read", add_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
